"""A value as text in another language, so that whatever a profile holds cannot break out of its place. Pure.

Every writer escapes what is not printable: line breaks, control characters and the invisible ones that reorder text.
"""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from deploykit.sources.quoting import comment as comment, quoted, yaml as yaml

_UNQUOTED_ENV = re.compile(r"[A-Za-z0-9_./:@%+,=?&~^{}$-]*\Z")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>&|~$#])")
_XML_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_MERMAID_SAFE = re.compile(r"[A-Za-z0-9 .,/_-]")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def _braced(code: int) -> str:
    return f"\\u{{{code:x}}}"


def python(value: Any) -> str:
    """A Python expression for plain data: text, numbers, booleans, None, lists, maps."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{python(key)}: {python(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(python(item) for item in value) + "]"
    return repr(value)


def typescript(value: Any) -> str:
    """A TypeScript expression for plain data."""
    if isinstance(value, str):
        return quoted(value, _braced)
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{typescript_key(key)}: {typescript(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(typescript(item) for item in value) + "]"
    return json.dumps(value)


def typescript_key(name: str) -> str:
    """A property name. ``__proto__`` must be computed: written plainly it sets the prototype."""
    if name == "__proto__":
        return f"[{typescript(name)}]"
    return name if _IDENTIFIER.match(name) else typescript(name)


def toml(value: Any) -> str:
    """A TOML value: text, whole number, boolean, list, or inline table."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value)


def env(value: str) -> str:
    """The right side of ``NAME=`` in a .env file.

    Plain where that is safe, else in single quotes, which every reader takes literally; in double quotes with
    backslash escapes for what single quotes cannot hold.
    """
    if _UNQUOTED_ENV.match(value):
        return value
    if value.isprintable() and "'" not in value and "\\" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def xml(text: str) -> str:
    """Text or an attribute's value in XML; what XML cannot hold becomes U+FFFD."""
    return html.escape(_XML_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text), quote=True)


def markdown(text: str) -> str:
    """Prose in Markdown, on one line, that reads as it is written; never the first thing on its line."""
    return _MARKDOWN.sub(r"\\\1", comment(" ".join(text.split())))


def code(text: str) -> str:
    """A code span. Line breaks become blanks, as Markdown itself would read them."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    fence = "`" * (_longest_run(shown) + 1)
    pad = " " if not shown.strip() or shown.startswith(("`", " ")) or shown.endswith(("`", " ")) else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def cell(text: str) -> str:
    """A code span inside a table, where a bar would end the cell."""
    return code(text).replace("|", "\\|")


def fenced(text: str, language: str = "") -> str:
    """A fenced code block with a fence that the text does not hold."""
    shown = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text.rstrip("\n"))
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def shell(text: str) -> str:
    """One word of a shell command."""
    return shlex.quote(text)


def sql(text: str) -> str:
    """A string in MySQL, which reads backslashes too."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def mermaid(text: str) -> str:
    """Text between double quotes in Mermaid: everything but letters, digits and blanks as an entity code."""
    shown = comment(" ".join(text.split()))
    return "".join(c if _MERMAID_SAFE.match(c) else f"#{ord(c)};" for c in shown)


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
