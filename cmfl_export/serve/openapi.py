"""The OpenAPI document of the server. A test holds it against the routes."""

from __future__ import annotations

from typing import Any, get_args

from ..images import Status
from ..runtime import COLUMNS, DECISIONS, FACE_COLUMNS, Geometry
from .limits import FIELD
from .options import ServeOptions
from .pictures import KINDS, VALUES

_PROBABILITY = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_TEXT = {"type": "string"}
_COLUMNS: dict[str, Any] = {
    "path": {**_TEXT, "description": "the name of the file as it was sent, or empty"},
    "p_real": {**_PROBABILITY, "description": "the score, P(real)"},
    "p_real_rgb": _PROBABILITY,
    "p_real_spectrum": _PROBABILITY,
    "decision": {"type": ["string", "null"], "enum": [*DECISIONS, None]},
    "status": {"type": "string", "enum": [status.value for status in Status]},
    "error": {**_TEXT, "description": "why there is no score, or why it says little"},
    "face": {"type": ["integer", "null"], "minimum": 0},
    "faces": {"type": ["integer", "null"], "minimum": 1},
    **{side: {"type": ["number", "null"]} for side in FACE_COLUMNS[2:]},
    "geometry": {
        "type": ["string", "null"],
        "enum": [*get_args(Geometry), None],
        "description": "how the image became the model's input",
    },
    "face_size": {"type": ["number", "null"], "minimum": 0, "description": "in pixels of the image"},
    "faces_found": {"type": ["integer", "null"], "minimum": 0},
    "domain": {
        "type": ["number", "null"],
        "minimum": 0,
        "maximum": 100,
        "description": "the percentage of the training images that the model finds nearer to them all",
    },
    "out_of_domain": {
        "type": ["boolean", "null"],
        "description": "whether the image is so unlike the training images that the score has no basis",
    },
    "pictures": {
        "type": "object",
        "description": "JPEG (image) and PNG files in base64, if they were asked for",
        "additionalProperties": {"type": "string", "contentEncoding": "base64"},
    },
    "values": {
        "type": "object",
        "description": "heatmaps as 14 lines of 14 numbers, if they were asked for",
        "additionalProperties": {
            "type": "array",
            "items": {"type": "array", "items": {"type": ["number", "null"]}},
        },
    },
}


def document(version: str, options: ServeOptions, *, token: bool, hosts: bool) -> dict[str, Any]:
    """Returns the document.

    Args:
        version: of this package.
        options: of the server.
        token: whether requests have to bring a token.
        hosts: whether requests have to name a host that is allowed.
    """
    guarded = (*((401,) if token else ()), *((421,) if hosts else ()))
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "CMFL-Export",
            "version": version,
            "description": "Detection of synthetic face images. A score is evidence and not proof.",
        },
        "paths": {
            "/": _get(
                "The page that sends images to this server",
                media="text/html",
                guarded=(421,) if hosts else (),
            ),
            "/v1/predict": {"post": _predict(options, guarded)},
            "/v1/model": _get("The card of the model and how it runs", guarded=guarded),
            "/openapi.json": _get("This document", guarded=guarded),
            "/metrics": _get("Metrics for Prometheus", media="text/plain", guarded=guarded),
            "/livez": _get("Whether the process answers"),
            "/readyz": _get("Whether the model has warmed up", more=(503,)),
        },
        "components": {"schemas": {"Row": _row(), "Error": _error()}},
    }
    if token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return found


def _predict(options: ServeOptions, guarded: tuple[int, ...]) -> dict[str, Any]:
    image = {"type": "string", "contentMediaType": "application/octet-stream"}
    images = {
        "type": "array",
        "items": image,
        "minItems": 1,
        "maxItems": min(options.max_files, options.max_queue),
    }
    form = {
        "type": "object",
        "required": [FIELD],
        "properties": {FIELD: images},
        "additionalProperties": False,
    }
    row = {"$ref": "#/components/schemas/Row"}
    results = {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "array", "items": row}},
    }
    return {
        "summary": "Score images: one row per image, or per face with align=all",
        "operationId": "predict",
        "parameters": [
            _parameter(
                "align",
                "The faces that are found and aligned first; auto leaves aligned crops as they are",
                {"type": "string", "enum": ["auto", "all", "largest", "none"], "default": "auto"},
            ),
            _parameter(
                "pictures",
                "Also draw the image as the model saw it, its heatmaps and spectrum; separated by commas",
                {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(KINDS)}},
                style="form",
                explode=False,
            ),
            _parameter(
                "values",
                "Also give the numbers of the heatmaps",
                {"type": "string", "enum": list(VALUES)},
            ),
        ],
        "requestBody": {
            "required": True,
            "description": f"One image as it is, or a form with the field {FIELD}",
            "content": {
                "multipart/form-data": {"schema": form},
                "application/octet-stream": {"schema": {}},
                "image/*": {"schema": {}},
            },
        },
        "responses": {
            "200": _answer("The rows, in order", {"application/json": {"schema": results}}),
            **_errors(400, 408, 413, 429, 500, 501, 503, *guarded),
        },
        **_security(guarded),
    }


def _get(
    summary: str,
    *,
    media: str = "application/json",
    more: tuple[int, ...] = (),
    guarded: tuple[int, ...] = (),
) -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "responses": {"200": _answer(summary, {media: {}}), **_errors(*more, *guarded)},
            **_security(guarded),
        }
    }


def _parameter(name: str, description: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _answer(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": content}


def _errors(*codes: int) -> dict[str, Any]:
    words = {
        400: "The request cannot be understood",
        401: "The token is missing or wrong",
        408: "The body came too slowly",
        413: "The body is too long, or has too many images",
        421: "The server has another name than the request says",
        429: "Too many images are waiting; see Retry-After",
        500: "The model failed to run",
        501: "This server cannot look for faces",
        503: "Not ready, or not done before the deadline",
    }
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {str(code): _answer(words[code], content) for code in sorted(codes)}


def _security(guarded: tuple[int, ...]) -> dict[str, Any]:
    return {"security": [{"token": []}]} if 401 in guarded else {}


def _row() -> dict[str, Any]:
    return {"type": "object", "required": list(COLUMNS), "properties": _COLUMNS}


def _error() -> dict[str, Any]:
    return {"type": "object", "required": ["error"], "properties": {"error": _TEXT}}
