"""Railway's log filter language: words, phrases, ``@attribute:value``, AND, OR, ``-``, parentheses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

LogLine = dict[str, Any]
Filter = Callable[[LogLine], bool]

_TOKEN = re.compile(r"""\s*(?:(?P<open>\()|(?P<close>\))|(?P<word>-?(?:@?[\w.\[\]-]+:)?(?:"[^"]*"|[^\s()"]+)))""")
_SERVICE_TAGS = {"service": "serviceId", "deployment": "deploymentId", "replica": "deploymentInstanceId"}


def compile_filter(text: str | None) -> Filter:
    """The filter as a predicate over a log line; an empty text keeps everything, a malformed one what it can."""
    tokens = [match.group().strip() for match in _TOKEN.finditer(text or "") if match.group().strip()]
    return _Parser(iter(tokens)).parse() if tokens else lambda _line: True


class _Parser:
    """Recursive descent.

    either := both (OR both)* · both := term (AND? term)* · term := -? ( "(" either ")" | word )
    """

    def __init__(self, tokens: Iterator[str]) -> None:
        self._tokens = tokens
        self._current: str | None = next(tokens, None)

    def parse(self) -> Filter:
        return self._either()

    def _take(self) -> str:
        taken, self._current = self._current or "", next(self._tokens, None)
        return taken

    def _either(self) -> Filter:
        choices = [self._both()]
        while self._current == "OR":
            self._take()
            choices.append(self._both())
        return lambda line: any(choice(line) for choice in choices)

    def _both(self) -> Filter:
        parts = []
        while self._current not in (None, "OR", ")"):
            if self._current == "AND":
                self._take()
                continue
            parts.append(self._term())
        return lambda line: all(part(line) for part in parts)

    def _term(self) -> Filter:
        word = self._take()
        if word in ("(", "-("):
            inner = self._either()
            if self._current == ")":
                self._take()
            return inner
        if word == "-":
            inner = self._term()
            return lambda line: not inner(line)
        if word.startswith("-"):
            inner = _word(word[1:])
            return lambda line: not inner(line)
        return _word(word)


def _word(word: str) -> Filter:
    name, colon, value = word.partition(":")
    value = value.strip('"')
    if colon and name == "replica":
        return lambda line: line["tags"].get("deploymentInstanceId") == value
    if colon and name.startswith("@"):
        return _attribute(name[1:], value)
    needle = word.strip('"').casefold()
    return lambda line: needle in line["message"].casefold()


def _attribute(name: str, value: str) -> Filter:
    if name in _SERVICE_TAGS:
        return lambda line: line["tags"].get(_SERVICE_TAGS[name]) == value

    def matches(line: LogLine) -> bool:
        found = line["severity"] if name == "level" else line["attributes"].get(name)
        return found is not None and _compare(str(found), value)

    return matches


def _compare(found: str, wanted: str) -> bool:
    low, dots, high = wanted.partition("..")
    try:
        number = float(found)
        if dots:
            return float(low) <= number <= float(high)
        for sign, test in ((">=", number.__ge__), ("<=", number.__le__), (">", number.__gt__), ("<", number.__lt__)):
            if wanted.startswith(sign):
                return bool(test(float(wanted[len(sign) :])))
    except ValueError:
        pass
    return found.casefold() == wanted.casefold()
