"""A text in double quotes, and as a YAML value, so that whatever it holds cannot break out of its place. Pure.

What is not printable is escaped: line breaks, control characters and the invisible ones that reorder text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deploykit.sources.pattern import pattern
from deploykit.sources.yaml import resolve

_PLAIN = pattern(r"[A-Za-z0-9_./$](?:[A-Za-z0-9_./@+=~^%&;()$!?*<>{}'\\-]|:(?! |\Z)| (?![ #]|\Z))*\Z")
_WORD = pattern(r"[A-Za-z0-9_./][A-Za-z0-9_./-]*\Z")


def wide(code: int) -> str:
    """How Python, TOML and YAML write what lies beyond U+FFFF."""
    return f"\\U{code:08x}"


def quoted(text: str, astral: Callable[[int], str] = wide) -> str:
    """A double-quoted string with JSON's escapes; ``astral`` writes what lies beyond U+FFFF and cannot be printed."""
    escaped = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escape(ord(c), astral) for c in escaped)


def _escape(code: int, astral: Callable[[int], str]) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else astral(code)


def comment(text: str) -> str:
    """Text on one line, for a comment in any language that we write."""
    return "".join(c if c.isprintable() else " " for c in text).replace("*/", "* /").strip()


def yaml(value: Any) -> str:
    """A YAML flow value; text is always quoted, so that no reader takes it for anything else."""
    return _flow(value, quoted)


def tidy_yaml(value: Any) -> str:
    """A YAML flow value as a person would write it: words that can be nothing but text stay without quotes."""
    return _flow(value, lambda text: text if _WORD.match(text) and resolve(text) == text else quoted(text))


def _flow(value: Any, text: Callable[[str], str]) -> str:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key, text)}: {_flow(item, text)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_flow(item, text) for item in value) + "]"
    return json.dumps(value)


def block_text(text: str, *, any_type: bool = False) -> str:
    """A text after ``key:`` in block YAML: without quotes where it reads back as itself.

    ``any_type`` where a reader takes a plain ``true`` or ``5`` as it is written (variables of a profile).
    """
    if not _PLAIN.match(text):
        return quoted(text)
    value = resolve(text)
    return text if value == text or (any_type and value is not None) else quoted(text)
