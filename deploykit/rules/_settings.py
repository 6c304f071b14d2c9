"""The project's own choice of rules: ``[tool.deploykit]`` in pyproject.toml, or deploykit.toml."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploykit.errors import ConfigurationError, UsageError
from deploykit.findings import Finding, Severity
from deploykit.rules._rule import CATALOGUE

KEYS = ("select", "ignore", "severity", "per-file-ignores", "sources", "exclude")


@dataclass(frozen=True, slots=True)
class Settings:
    """Which rules count, how much, and where not."""

    selected: frozenset[str] = field(default_factory=lambda: frozenset(CATALOGUE))
    severities: Mapping[str, Severity] = field(default_factory=dict)
    per_file: tuple[tuple[str, frozenset[str]], ...] = ()
    sources: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def apply(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings that count here, with the weight they have here."""
        kept = []
        for finding in findings:
            if finding.code not in self.selected or self._off(finding):
                continue
            severity = self.severities.get(finding.code)
            kept.append(finding.at_severity(severity) if severity else finding)
        return kept

    def _off(self, finding: Finding) -> bool:
        return any(finding.code in codes and matches(finding.place.path, glob) for glob, codes in self.per_file)


def matches(path: str, glob: str) -> bool:
    """Whether a path fits a glob: ``**`` crosses folders, a bare name fits in any folder."""
    glob = glob.removeprefix("./")
    if "/" not in glob:
        return any(fnmatch.fnmatchcase(part, glob) for part in (path, path.rsplit("/", 1)[-1], *path.split("/")[:-1]))
    if glob.endswith("/"):
        glob += "**"
    return bool(_compiled(glob).match(path))


def _compiled(glob: str) -> re.Pattern[str]:
    pieces = []
    for piece in re.split(r"(\*\*/|\*\*|\*|\?)", glob):
        pieces.append({"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece)))
    return re.compile("".join(pieces) + r"\Z")


def expand(words: Iterable[str]) -> frozenset[str]:
    """The codes that words name: ``DK203``, a family ``DK2``, a rule's name, or ``ALL``. Raises UsageError."""
    codes: set[str] = set()
    for word in words:
        for part in filter(None, (piece.strip() for piece in word.split(","))):
            found = _codes(part)
            if not found:
                import difflib

                near = difflib.get_close_matches(part.upper(), CATALOGUE, n=9, cutoff=0.6)
                alike = next(
                    (code for code in sorted(near) if code.startswith(part[:3].upper())), next(iter(near), None)
                )
                hint = f"did you mean {alike}?" if alike else "deploykit explain --list names them all"
                raise UsageError(f"unknown rule {part!r}", hint=hint)
            codes |= found
    return frozenset(codes)


def _codes(word: str) -> set[str]:
    upper = word.upper()
    if upper in ("ALL", "DK"):
        return set(CATALOGUE)
    if upper in CATALOGUE:
        return {upper}
    if re.fullmatch(r"DK\d{1,2}", upper):
        return {code for code in CATALOGUE if code.startswith(upper)}
    return {code for code, rule in CATALOGUE.items() if rule.name == word.lower()}


def read_settings(table: Mapping[str, Any], where: str) -> Settings:
    """Settings from a table. Raises ConfigurationError for an unknown key, an unknown code or a wrong type."""
    for key in table:
        if key.replace("_", "-") not in KEYS:
            import difflib

            near = difflib.get_close_matches(str(key), KEYS, n=1)
            raise ConfigurationError(
                f"unknown setting {key!r}",
                where=where,
                hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(KEYS)}",
            )
    values = {key.replace("_", "-"): value for key, value in table.items()}
    severities: dict[str, Severity] = {}
    selected = _expanded(_strings(values, "select", where), where) if "select" in values else frozenset(CATALOGUE)
    selected -= _expanded(_strings(values, "ignore", where), where)
    for word, severity in _table(values, "severity", where).items():
        if severity not in list(Severity):
            raise ConfigurationError(
                f"severity of {word} is {severity!r}", where=where, hint="use error, warning or info"
            )
        severities.update(dict.fromkeys(_expanded([word], where), Severity(severity)))
    per_file = tuple(
        (glob, _expanded([codes] if isinstance(codes, str) else _list(codes, glob, where), where))
        for glob, codes in _table(values, "per-file-ignores", where).items()
    )
    return Settings(
        selected,
        severities,
        per_file,
        tuple(_strings(values, "sources", where)),
        tuple(_strings(values, "exclude", where)),
    )


def _expanded(words: Iterable[str], where: str) -> frozenset[str]:
    try:
        return expand(words)
    except UsageError as error:
        raise ConfigurationError(error.message, where=where, hint=error.hint) from None


def _strings(values: Mapping[str, Any], key: str, where: str) -> list[str]:
    return _list(values.get(key, []), key, where)


def _list(value: Any, key: str, where: str) -> list[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise ConfigurationError(f"{key} should be a list of texts", where=where, hint=f'write {key} = ["DK203"]')


def _table(values: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = values.get(key, {})
    if isinstance(value, dict):
        return value
    raise ConfigurationError(f"{key} should be a table", where=where, hint=f'write {key} = {{DK203 = "error"}}')
