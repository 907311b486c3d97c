"""CMFL detection of synthetic faces as one ONNX file."""
