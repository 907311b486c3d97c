"""Runs an ONNX file: its card, its checks, sessions on CPU and GPU, and the pipeline."""

from __future__ import annotations

from .card import (
    BAND_CONVENTION,
    INTENDED_USE,
    LABEL_CONVENTION,
    METADATA_KEY,
    PRECISIONS,
    SCHEMA_VERSION,
    ModelCard,
    temper,
)
from .columns import COLUMNS, FACE_COLUMNS, GEOMETRY_COLUMNS, GROUPS, KINDS, Geometry, columns_with, groups_of
from .decision import DECISIONS, REAL, SYNTHETIC, UNCERTAIN, DecisionRule
from .domain import ARRAYS, EMBEDDING, Domain
from .gpu import DeviceModel
from .model_check import INPUT_NAME, SCORE_OUTPUTS, SPECTRUM, SPECTRUM_STANDARDISED
from .onnx_writer import write_model
from .portability import MOST_OF_A_PAIR, NOT_PORTABLE, layouts
from .prediction import Prediction
from .providers import Trouble, load_onnxruntime, load_openvino, silent_options
from .session import Session, choose_provider, create_session, read_card, read_checked
from .tolerances import TOLERANCES
from .web import PACKAGE, PACKAGE_VARIABLE, open_web, package_folder, web_trouble

__all__ = [
    "ARRAYS",
    "BAND_CONVENTION",
    "COLUMNS",
    "DECISIONS",
    "EMBEDDING",
    "FACE_COLUMNS",
    "GEOMETRY_COLUMNS",
    "GROUPS",
    "INPUT_NAME",
    "INTENDED_USE",
    "KINDS",
    "LABEL_CONVENTION",
    "METADATA_KEY",
    "MOST_OF_A_PAIR",
    "NOT_PORTABLE",
    "PACKAGE",
    "PACKAGE_VARIABLE",
    "PRECISIONS",
    "REAL",
    "SCHEMA_VERSION",
    "SCORE_OUTPUTS",
    "SPECTRUM",
    "SPECTRUM_STANDARDISED",
    "SYNTHETIC",
    "TOLERANCES",
    "UNCERTAIN",
    "DecisionRule",
    "DeviceModel",
    "Domain",
    "Geometry",
    "ModelCard",
    "Prediction",
    "Session",
    "Trouble",
    "choose_provider",
    "columns_with",
    "create_session",
    "groups_of",
    "layouts",
    "load_onnxruntime",
    "load_openvino",
    "open_web",
    "package_folder",
    "read_card",
    "read_checked",
    "silent_options",
    "temper",
    "web_trouble",
    "write_model",
]
