"""``deploykit schema``: the JSON Schema of a profile, so that editors complete and check while one types."""

from __future__ import annotations

import json
from typing import Any

from deploykit.profile.schema import Profile

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema of a profile file, before ``extends``: a base may bring what is required."""
    model = Profile.model_json_schema()
    definitions = model.pop("$defs")
    service = definitions["Service"]
    service["properties"].pop("name")
    service.pop("required", None)
    # The loader takes a variable as it is written: numbers and truth values are fine, `!secret` is a tag of YAML.
    service["properties"]["env"] = {
        "type": "object",
        "title": "Env",
        "description": "Variables of the service; `!secret` for what lives in Railway.",
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
    }
    definitions.pop("Secret", None)
    properties = model["properties"]
    properties["services"] = {
        "type": "object",
        "title": "Services",
        "minProperties": 1,
        "additionalProperties": {"anyOf": [{"$ref": "#/$defs/Service"}, {"type": "null"}]},
    }
    whole = {
        "$schema": _DRAFT,
        "title": "deploykit profile",
        "description": "What runs on Railway at one stage. See docs/profile.md.",
        **{key: value for key, value in model.items() if key not in ("title", "description", "required")},
        "required": ["version", "name"],
        "anyOf": [{"required": ["services"]}, {"required": ["extends"]}],
        "patternProperties": {"^x-": {}},
        "$defs": definitions,
    }
    for body in (whole, *definitions.values()):
        _nullable(body)
    return whole


def _nullable(body: dict[str, Any]) -> None:
    """``null`` removes what a base set, so every key that may be left out may be null."""
    required = body.get("required", [])
    for name, value in body.get("properties", {}).items():
        if name in required or {"type": "null"} in value.get("anyOf", []):
            continue
        if "anyOf" in value:
            value["anyOf"].append({"type": "null"})
        else:
            keep = {key: value.pop(key) for key in ("title", "description", "default") if key in value}
            inner = dict(value)
            value.clear()
            value.update(keep, anyOf=[inner, {"type": "null"}])


def schema_text() -> str:
    """The schema as a file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
