"""Compares what --json prints with its schema, more strictly than a reader may: no field but those listed."""

from __future__ import annotations

from typing import Any

import jsonschema

from nono.cli.shapes.table import SHAPES

SHAPE_OF = {shape.command: shape for shape in SHAPES}


def check_shape(command: str, document: Any) -> None:
    """Raise jsonschema.ValidationError if a field is missing, of another type, or not in the schema."""
    jsonschema.Draft202012Validator(_strict(SHAPE_OF[command].document)).validate(document)


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(each) for key, each in schema.items()}
    return {"additionalProperties": False, **found} if "properties" in schema and "type" in schema else found
