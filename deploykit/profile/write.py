"""Profile → the text of a profile file that needs no other: ``extends`` and anchors folded in, secrets by name only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deploykit.profile.schema import Profile, Secret
from deploykit.sources.quoting import block_text, tidy_yaml


def profile_text(profile: Profile) -> str:
    """What ``profile`` says aloud, as YAML that loads into an equal profile; every value on one line."""
    said = profile.model_dump(exclude_unset=True, exclude={"extends", "services"})
    services = {name: service.model_dump(exclude_unset=True) for name, service in profile.services.items()}
    lines = list(_lines(said))
    lines.append("services:")
    for name, service in services.items():
        env = service.pop("env", {})
        service.pop("name", None)
        lines.append(f"  {block_text(name)}:")
        lines.extend(f"    {line}" for line in _lines(service))
        if env:
            lines.append("    env:")
            lines.extend(f"      {variable}: {_value(profile, name, variable)}" for variable in env)
    return "\n".join(lines) + "\n"


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        yield f"{key}: {block_text(value) if isinstance(value, str) else tidy_yaml(value)}"


def _value(profile: Profile, service: str, variable: str) -> str:
    value = profile.services[service].env[variable]
    if isinstance(value, Secret):
        return f"!secret {block_text(value.operator_variable)}" if value.operator_variable else "!secret"
    return block_text(value, any_type=True)
