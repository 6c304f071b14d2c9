"""Somebody else's text on the operator's terminal: a log line may hold what would clear it, or name its window."""

from __future__ import annotations

from deploykit.sources.pattern import pattern

_SEQUENCE = pattern(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
"""Colours and cursor movements, and commands to the terminal itself (ECMA-48: CSI and OSC)."""
_BREAKS = pattern(r"[\t\n\v\f\r]+")


def printable(text: str) -> str:
    """``text`` without characters that would move a terminal's cursor; each leaves a dot, so that columns stay."""
    if text.isascii() and text.isprintable():
        return text
    import unicodedata  # only for those who need it: every command loads this module

    return "".join("·" if unicodedata.category(character) in ("Cc", "Cf") else character for character in text)


def plain(text: str) -> str:
    """``text`` on one line and without terminal sequences, which leave nothing."""
    return printable(_BREAKS.sub(" ", _SEQUENCE.sub("", text)))
