"""The fields of ONNX's protobuf messages: name and wire type by field number, as in onnx.proto."""

from __future__ import annotations

from .protobuf import FIXED32, FIXED64, LENGTH, MANY, PACKED, VARINT, Spec

MODEL: Spec = {
    1: ("ir_version", VARINT),
    2: ("producer_name", LENGTH),
    3: ("producer_version", LENGTH),
    4: ("domain", LENGTH),
    5: ("model_version", VARINT),
    6: ("doc_string", LENGTH),
    7: ("graph", LENGTH),
    8: ("opset_import", LENGTH | MANY),
    14: ("metadata_props", LENGTH | MANY),
    20: ("training_info", LENGTH | MANY),
    25: ("functions", LENGTH | MANY),
    26: ("configuration", LENGTH | MANY),
}
# Fields that are noted but not read.
UNREAD_OF_MODEL = ("training_info", "functions", "configuration")
GRAPH: Spec = {
    1: ("node", LENGTH | MANY),
    2: ("name", LENGTH),
    5: ("initializer", LENGTH | MANY),
    10: ("doc_string", LENGTH),
    11: ("input", LENGTH | MANY),
    12: ("output", LENGTH | MANY),
    13: ("value_info", LENGTH | MANY),
    14: ("quantization_annotation", LENGTH | MANY),
    15: ("sparse_initializer", LENGTH | MANY),
    16: ("metadata_props", LENGTH | MANY),
}
UNREAD_OF_GRAPH = ("sparse_initializer",)
NODE: Spec = {
    1: ("input", LENGTH | MANY),
    2: ("output", LENGTH | MANY),
    3: ("name", LENGTH),
    4: ("op_type", LENGTH),
    5: ("attribute", LENGTH | MANY),
    6: ("doc_string", LENGTH),
    7: ("domain", LENGTH),
    8: ("overload", LENGTH),
    9: ("metadata_props", LENGTH | MANY),
    10: ("device_configurations", LENGTH | MANY),
}
UNREAD_OF_NODE = ("overload", "device_configurations")
ATTRIBUTE: Spec = {
    1: ("name", LENGTH),
    2: ("f", FIXED32),
    3: ("i", VARINT),
    4: ("s", LENGTH),
    5: ("t", LENGTH),
    6: ("g", LENGTH),
    7: ("floats", FIXED32 | MANY | PACKED),
    8: ("ints", VARINT | MANY | PACKED),
    9: ("strings", LENGTH | MANY),
    10: ("tensors", LENGTH | MANY),
    11: ("graphs", LENGTH | MANY),
    13: ("doc_string", LENGTH),
    14: ("tp", LENGTH),
    15: ("type_protos", LENGTH | MANY),
    20: ("type", VARINT),
    21: ("ref_attr_name", LENGTH),
    22: ("sparse_tensor", LENGTH),
    23: ("sparse_tensors", LENGTH | MANY),
}
# The field that holds the value, by AttributeProto.AttributeType.
FIELD_OF_TYPE = (
    *("", "f", "i", "s", "t", "g", "floats", "ints", "strings", "tensors", "graphs"),
    *("sparse_tensor", "sparse_tensors", "tp", "type_protos"),
)
TENSOR: Spec = {
    1: ("dims", VARINT | MANY | PACKED),
    2: ("data_type", VARINT),
    3: ("segment", LENGTH),
    4: ("float_data", FIXED32 | MANY | PACKED),
    5: ("int32_data", VARINT | MANY | PACKED),
    6: ("string_data", LENGTH | MANY),
    7: ("int64_data", VARINT | MANY | PACKED),
    8: ("name", LENGTH),
    9: ("raw_data", LENGTH),
    10: ("double_data", FIXED64 | MANY | PACKED),
    11: ("uint64_data", VARINT | MANY | PACKED),
    12: ("doc_string", LENGTH),
    13: ("external_data", LENGTH | MANY),
    14: ("data_location", VARINT),
    16: ("metadata_props", LENGTH | MANY),
}
# The fields of a tensor whose values are stored one by one, with their wire types.
LISTS = {
    "float_data": FIXED32,
    "double_data": FIXED64,
    "int32_data": VARINT,
    "int64_data": VARINT,
    "uint64_data": VARINT,
}
VALUE: Spec = {
    1: ("name", LENGTH),
    2: ("type", LENGTH),
    3: ("doc_string", LENGTH),
    4: ("metadata_props", LENGTH | MANY),
}
TYPE: Spec = {
    1: ("tensor_type", LENGTH),
    4: ("sequence_type", LENGTH),
    5: ("map_type", LENGTH),
    6: ("denotation", LENGTH),
    7: ("opaque_type", LENGTH),
    8: ("sparse_tensor_type", LENGTH),
    9: ("optional_type", LENGTH),
}
TENSOR_TYPE: Spec = {1: ("elem_type", VARINT), 2: ("shape", LENGTH)}
SHAPE: Spec = {1: ("dim", LENGTH | MANY)}
DIMENSION: Spec = {1: ("dim_value", VARINT), 2: ("dim_param", LENGTH), 3: ("denotation", LENGTH)}
OPSET: Spec = {1: ("domain", LENGTH), 2: ("version", VARINT)}
ENTRY: Spec = {1: ("key", LENGTH), 2: ("value", LENGTH)}
