"""A finding as a person sees it: the words, the source line with a mark under the token, the way it came, the cure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from deploykit.findings import Finding, Place, Severity
from deploykit.sources.pattern import pattern
from deploykit.sources.printable import printable

WIDTH = 80
_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "36"}
_SECRET = pattern(
    r"""(?ix)([A-Za-z0-9_]*(?:secret|token|passw(?:or)?d|passwd|passphrase|api_?key|private_?key|access_?key|credentials)
        [A-Za-z0-9_]*["']?\s*[:=]\s*)(?!\s*!secret)(["']?)([^\s"',}]{2,})"""
)
_URL_PASSWORD = pattern(r"(://[^/\s:@]*:)([^@\s/]+)(@)")
_SECRET_CODES = frozenset({"DK406", "DK706"})


class Style:
    """Colour, or none of it."""

    def __init__(self, colored: bool) -> None:
        self.colored = colored

    def paint(self, text: str, code: str) -> str:
        """``text`` in a colour when there is colour."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colored and text else text

    def severity(self, severity: Severity) -> str:
        """The word of a severity in its colour; the word stands there without colour too."""
        return self.paint(severity.value, f"1;{_COLOURS[severity]}")

    def dim(self, text: str) -> str:
        """What matters less."""
        return self.paint(text, "2")


def masked(line: str) -> str:
    """A source line without the secrets in it; every character keeps its place."""
    line = _URL_PASSWORD.sub(lambda found: f"{found[1]}{'•' * len(found[2])}{found[3]}", line)
    return _SECRET.sub(_mask, line)


def _mask(found: re.Match[str]) -> str:
    value = found[3]
    if value.startswith(("${{", "!secret", "<")) or value.lower() in ("true", "false") or value.isdigit():
        return found.group()
    return f"{found[1]}{found[2]}{'•' * len(value)}"


def source_line(texts: Mapping[str, str], place: Place) -> str | None:
    """The line a place stands on, without its ending; None when the text is not at hand."""
    text = texts.get(place.path)
    if text is None:
        return None
    lines = text.split("\n")
    return lines[place.line - 1].rstrip("\r") if place.line <= len(lines) else None


def diagnostic(finding: Finding, texts: Mapping[str, str], style: Style, width: int = WIDTH) -> str:
    """The whole of a finding, in lines that fit ``width``."""
    return "\n".join(_lines(finding, texts, style, max(width, 40)))


def _wrapped(text: str, width: int, *, hyphens: bool = False) -> list[str]:
    import textwrap  # only where something was found

    return textwrap.wrap(text, width, break_on_hyphens=hyphens)


def _lines(finding: Finding, texts: Mapping[str, str], style: Style, width: int) -> Iterator[str]:
    head = f"{finding.code} {finding.severity.value}: {finding.message}"
    first, *rest = _wrapped(head, width) or [head]
    plain = f"{finding.code} {finding.severity.value}"
    yield f"{style.paint(finding.code, '1')} {style.severity(finding.severity)}{first[len(plain) :]}"
    yield from (f"  {line}" for line in rest)
    places = [(finding.place, ""), *((each.place, each.message) for each in finding.related[:6])]
    gutter = len(str(max(place.line for place, _ in places)))
    colour = _COLOURS[finding.severity]
    for index, (place, words) in enumerate(places):
        line = source_line(texts, place)
        arrow = "-->" if index == 0 or place.path != places[index - 1][0].path else ":::"
        yield f"{' ' * gutter} {style.dim(arrow)} {place}"
        if line is not None and line.strip():
            yield from _quoted(finding, place, line, words, gutter, style, colour if index == 0 else "34", width)
        elif words:
            yield f"{' ' * gutter}     {words}"
    if len(finding.related) > 6:
        yield f"{' ' * gutter}     and {len(finding.related) - 6} more places"
    if finding.hint:
        yield from _note("help", finding.hint, gutter, style, width)
    if finding.fix:
        how = "--fix" if finding.fix.safe else "--fix --unsafe-fixes"
        yield from _note(
            f"fix ({'safe' if finding.fix.safe else 'unsafe'})", f"{finding.fix.title}: {how}", gutter, style, width
        )


def _note(label: str, text: str, gutter: int, style: Style, width: int) -> Iterator[str]:
    start = f"{' ' * gutter} = {label}: "
    for index, line in enumerate(_wrapped(text, max(width - len(start), 20)) or [""]):
        yield (
            f"{' ' * gutter} {style.dim('=')} {style.paint(label, '1')}: " if index == 0 else " " * len(start)
        ) + line


def _quoted(
    finding: Finding, place: Place, line: str, words: str, gutter: int, style: Style, colour: str, width: int
) -> Iterator[str]:
    end = place.end_column if place.end_line == place.line else len(line) + 1
    start, end = place.column - 1, max(end - 1, place.column)
    if finding.code in _SECRET_CODES and place == finding.place:
        line = line[:start] + "•" * (min(end, len(line)) - start) + line[end:]
    line = masked(line)
    room = max(width - gutter - 3, 20)
    cut = 0
    if len(line) > room and end > room - 8:
        cut = max(0, min(start - 8, len(line) - room + 1))
    shown = ("…" if cut else "") + line[cut + (1 if cut else 0) :]
    if len(shown) > room:
        shown = shown[: room - 1] + "…"
    shown = shown.replace("\t", " ")
    yield f"{style.dim(f'{place.line:>{gutter}} |')} {printable(shown)}"
    before = _cells(shown[: start - cut])
    marks = "^" * max(1, min(_cells(shown[start - cut : end - cut]), room - before))
    pad = f"{' ' * gutter} {style.dim('|')} {' ' * before}{style.paint(marks, f'1;{colour}')}"
    if words and before + len(marks) + 1 + len(words) <= room:
        yield f"{pad} {words}"
    else:
        yield pad
        if words:
            yield from (f"{' ' * gutter} {style.dim('|')} {piece}" for piece in _wrapped(words, room, hyphens=True))


def _cells(text: str) -> int:
    """How many columns a terminal gives to ``text``."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
