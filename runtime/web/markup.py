"""HTML that cannot be injected into: what is not markup already is escaped when it becomes part of an element."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

_WITHOUT_END = ("input", "link", "meta")


class Markup(str):
    """Text that is HTML. Made by `element` and `join` only."""

    __slots__ = ()


Child: TypeAlias = "str | Markup | Iterable[Child] | None"


def join(*children: Child) -> Markup:
    """Several pieces, one after the other; None is left out."""
    return Markup("".join(_html(child) for child in children))


def element(tag: str, /, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """`element("a", "text", href="/x", class_="quiet")`. Underscores become hyphens; None and False leave it out."""
    start = "".join(_attribute(key, value) for key, value in attributes.items())
    if tag in _WITHOUT_END:
        return Markup(f"<{tag}{start}>")
    return Markup(f"<{tag}{start}>{join(*children)}</{tag}>")


def document(root: Markup) -> bytes:
    return b"<!doctype html>\n" + root.encode("utf-8", "replace")


def _html(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return escape(child, quote=True)
    return join(*child)


def _attribute(key: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value), quote=True)}"'
