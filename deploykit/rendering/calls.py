"""SDK calls as source text, one argument a line, in the two languages Railway's IaC is written in. Pure."""

from __future__ import annotations

from typing import Any

from deploykit.rendering import literals
from deploykit.rendering.iac import Call, Code, Name


def python_call(call: Call) -> str:
    """``service("web", source=github(…), …)``, indented for a function body."""
    arguments = dict(call.arguments)
    head = [literals.python(call.name)]
    if "engine" in arguments:
        head.append(literals.python(arguments.pop("engine")))
    lines = [f"{name}={_python(value, 8)}," for name, value in arguments.items()]
    return _call(call.function, head, lines, indent=4)


def _python(value: Any, indent: int) -> str:
    if isinstance(value, Name):
        return value.variable
    if isinstance(value, Code):
        options = [f"{name}={_python(item, indent)}" for name, item in value.options]
        return f"{value.function}({', '.join([_python(item, indent) for item in value.positional] + options)})"
    if isinstance(value, dict) and not _short(value):
        lines = [f"{literals.python(name)}: {_python(item, indent + 4)}," for name, item in value.items()]
        return _block("{", lines, "}", indent)
    return literals.python(value)


def typescript_call(call: Call) -> str:
    """``service("web", { source: github(…), … })``, indented for a function body."""
    arguments = dict(call.arguments)
    head = [literals.typescript(call.name)]
    if "engine" in arguments:
        head.append(literals.typescript(arguments.pop("engine")))
    if not arguments:
        return f"{call.function}({', '.join(head)})"
    return f"{call.function}({', '.join(head)}, {_typescript(arguments, 2)})"


def _typescript(value: Any, indent: int) -> str:
    if isinstance(value, Name):
        return value.variable
    if isinstance(value, Code):
        positional = [_typescript_argument(item, indent) for item in value.positional]
        options = [literals.typescript(dict(value.options))] if value.options else []
        return f"{value.function}({', '.join(positional + options)})"
    if isinstance(value, dict) and not _short(value):
        lines = [f"{literals.typescript_key(name)}: {_typescript(item, indent + 2)}," for name, item in value.items()]
        return _block("{", lines, "}", indent, step=2)
    return literals.typescript(value)


def _typescript_argument(value: Any, indent: int) -> str:
    # An address in place of a resource: right for the SDK, unknown to its types.
    return f"{_typescript(value, indent)} as never" if isinstance(value, dict) else _typescript(value, indent)


def _call(function: str, head: list[str], lines: list[str], indent: int) -> str:
    if not lines:
        return f"{function}({', '.join(head)})"
    return _block(f"{function}(", [f"{item}," for item in head] + lines, ")", indent)


def _block(opening: str, lines: list[str], closing: str, indent: int, step: int = 4) -> str:
    inner = " " * (indent + step)
    return "\n".join([opening, *(inner + line for line in lines), " " * indent + closing])


def _short(value: dict[str, Any]) -> bool:
    """Whether a map of plain values fits on its line."""
    return _plain(value) and len(literals.python(value)) <= 80


def _plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_plain(item) for item in value.values())
    return not isinstance(value, Name | Code)
