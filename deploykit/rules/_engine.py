"""Runs the rules over what was read: one profile, or a whole repository."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from deploykit.findings import Finding, Place, Related
from deploykit.profile.load import Loaded, load
from deploykit.rules import _read_files, _read_profile, _suppressions
from deploykit.rules._rule import CATALOGUE, Rule
from deploykit.rules._settings import Settings
from deploykit.rules._subjects import EnvFile, Repository, Service, System, Variables

_OFFLINE = "needs Railway or the database: run `deploykit verify`"


@dataclass(frozen=True, slots=True)
class Sources:
    """What lint was given to look at. ``texts`` by path relative to the linted folder, with forward slashes."""

    texts: Mapping[str, str]
    profiles: tuple[str, ...] = ()
    """Which of the texts are profiles."""
    listing: frozenset[str] = frozenset()
    """Every path that exists, read or not."""
    ignored: frozenset[str] = frozenset()
    """Paths that git ignores."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Files that could not be read as text, with the reason."""
    rendered: Mapping[str, str] = field(default_factory=dict)
    """For files with our own header: what their profile renders to today."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Source files of folders that were named by hand."""
    today: date = date.min
    only: frozenset[str] | None = None
    """When given, only findings in these files are wanted; the rest is context."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of lint says."""

    findings: tuple[Finding, ...]
    hidden: tuple[Finding, ...]
    skipped: tuple[tuple[str, str], ...]
    files: int


def check_profile(loaded: Loaded, settings: Settings | None = None) -> list[Finding]:
    """Structure and rules of one profile, suppressions applied, each finding once, in the order of the file."""
    settings = settings or Settings()
    judged = settings.selected - _needing_context()
    kept, _ = _suppressions.apply(_all_of_profile(loaded), {loaded.path: loaded.text}, judged)
    return sorted(settings.apply(kept), key=lambda finding: finding.order)


def with_suppressions_of(loaded: Loaded, copy: Loaded) -> str:
    """The text of ``copy``, which says the same as ``loaded``, each finding suppressed that is suppressed there."""
    given = _suppressions.read(loaded.path, loaded.text)
    reasons = {}
    for finding in _all_of_profile(loaded) if given else ():
        hiding = _suppressions.hiding(finding, given)
        if hiding is not None:
            reasons[finding.code, finding.service, finding.variable] = hiding.reason
    lines = copy.text.split("\n")
    comments: dict[int, dict[str, str]] = {}
    for finding in _all_of_profile(copy) if reasons else ():
        reason = reasons.get((finding.code, finding.service, finding.variable))
        if reason is not None:
            comments.setdefault(finding.place.line, {})[finding.code] = reason
    for line, why in comments.items():
        lines[line - 1] += f"  # deploykit: ignore[{', '.join(why)}] {'; '.join(dict.fromkeys(why.values()))}"
    return "\n".join(lines)


def _all_of_profile(loaded: Loaded) -> list[Finding]:
    findings = list(loaded.findings)
    if loaded.tree is not None:
        findings.extend(_of_profile(_read_profile.system(loaded), loaded))
    return distinct(findings)


def lint(sources: Sources, settings: Settings | None = None) -> Outcome:
    """Every finding in ``sources``, in the same order every time."""
    settings = settings or Settings()
    findings = [_unreadable(path, reason) for path, reason in sources.unreadable.items()]
    loaded = [_load(path, sources) for path in sorted(sources.profiles)]
    for each in loaded:
        findings.extend(each.findings)
    repository = _read_files.repository(sources, loaded)
    findings.extend(repository.findings)
    by_path = {each.path: each for each in loaded}
    for system in repository.systems:
        findings.extend(_of_profile(system, by_path[system.path]) if system.path in by_path else run(system))
    for system in (*repository.iac, *repository.configs, *repository.env_systems):
        findings.extend(run(system))
    for rule in CATALOGUE.values():
        if rule.of is EnvFile:
            for env_file in repository.env_files:
                findings.extend(found(rule, env_file))
        elif rule.of is Repository:
            findings.extend(found(rule, repository))
    judged = settings.selected - _skipped_codes() - (_needing_context() if sources.only is not None else frozenset())
    findings = [_within(finding, sources.texts) for finding in findings]
    kept, hidden = _suppressions.apply(distinct(findings), sources.texts, judged)
    kept = settings.apply(kept)
    if sources.only is not None:
        kept = [finding for finding in kept if finding.place.path in sources.only]
    return Outcome(
        tuple(sorted(kept, key=lambda finding: finding.order)),
        tuple(hidden),
        tuple((code, reason) for code, reason in skipped() if code in settings.selected),
        len(sources.texts) + len(sources.unreadable) if sources.only is None else len(sources.only),
    )


def skipped() -> Iterator[tuple[str, str]]:
    """The rules that lint cannot run, with the reason."""
    for code in sorted(CATALOGUE):
        rule = CATALOGUE[code]
        if rule.skipped:
            yield code, rule.skipped
        elif code.startswith("DK9"):
            yield code, _OFFLINE


def _needing_context() -> frozenset[str]:
    """Rules that look at other files too: when only one file was read, their silence proves nothing."""
    others = (code for code, rule in CATALOGUE.items() if rule.of is Repository or code.startswith(("DK6", "DK7")))
    return frozenset(("DK112", "DK404", *others))


def _skipped_codes() -> frozenset[str]:
    return frozenset(code for code, _ in skipped())


def _load(path: str, sources: Sources) -> Loaded:
    def read(other: Path) -> str:
        text = sources.texts.get(other.as_posix())
        if text is None:
            raise FileNotFoundError(other.as_posix())
        return text

    def known(folder: Path) -> list[str]:
        names = [Path(other) for other in sources.texts if other.endswith(".yaml")]
        return sorted(other.stem for other in names if other.parent == folder)

    return load(Path(path), text=sources.texts[path], read=read, known=known, findings_only=True)


def _within(finding: Finding, texts: Mapping[str, str]) -> Finding:
    """Parsers point behind the last line when something is missing at the end; editors cannot go there."""
    if finding.code != "DK001":
        return finding
    place = finding.place
    lines = texts.get(place.path, "").split("\n")
    if place.line <= len(lines):
        column = min(place.column, len(lines[place.line - 1]) + 1)
        return finding if column == place.column else replace(finding, place=replace(place, column=column))
    end = len(lines[-1]) + 1
    return replace(finding, place=Place(place.path, len(lines), end, len(lines), end))


def _unreadable(path: str, reason: str) -> Finding:
    rule = CATALOGUE["DK001"]
    return Finding(rule.code, rule.name, rule.severity, reason, Place(path, 1, 1, 1, 1), "save it as UTF-8 text")


def _of_profile(system: System, loaded: Loaded) -> Iterator[Finding]:
    """The findings of a profile's system; what an anchor or a base brought in names the way it came."""
    chain = loaded.value("extends") if loaded.has("extends") else None
    services = {service.name: service for service in system.services}
    for finding in run(system):
        way = _way(finding, system, services.get(finding.service or ""), chain)
        yield replace(finding, related=(*finding.related, way)) if way else finding


def _way(finding: Finding, system: System, owner: Service | None, chain: Place | None) -> Related | None:
    """How a value that stands elsewhere came into its service: through ``extends``, or through an anchor."""
    if finding.place.path != system.path:
        return Related(chain, f"`{system.name or system.path}` inherits it through this") if chain else None
    if owner is None or not finding.variable or owner.owns(finding.place) or owner.key.path != system.path:
        return None
    known = {finding.place, *(each.place for each in finding.related)}
    return None if owner.key in known else Related(owner.key, f"`{owner.name}` takes it over from there")


def run(system: System) -> Iterator[Finding]:
    """Every finding of the rules about systems, services and variables in ``system``."""
    for rule in CATALOGUE.values():
        for subject in subjects(rule, system):
            yield from found(rule, subject)


def subjects(rule: Rule, system: System) -> Iterable[Any]:
    """What a rule looks at in a system."""
    if rule.of is System:
        return (system,)
    if rule.of is Service:
        return system.services
    if rule.of is Variables:
        return [service.variables for service in system.services]
    return ()


def found(rule: Rule, subject: Any) -> Iterator[Finding]:
    """The findings of one rule in one subject, named by the service they belong to."""
    if rule.check is None:
        return
    name = subject.name if isinstance(subject, Variables | Service) else None
    nameless = _nameless(subject)
    for report in rule.check(subject):
        service = report.service or name
        service = None if service in nameless else service
        yield rule.finding(report if service == report.service else report._replace(service=service))


def _nameless(subject: Any) -> frozenset[str]:
    """Services that only have a name among ourselves: a .env file or railway.toml at the top names none."""
    if isinstance(subject, System):
        return frozenset(service.name for service in subject.services if service.anonymous)
    service = subject.service if isinstance(subject, Variables) else subject
    return frozenset([service.name]) if isinstance(service, Service) and service.anonymous else frozenset()


def distinct(findings: Iterable[Finding]) -> list[Finding]:
    """Each offence once: a value shared by an anchor or a base is one mistake, however many services read it."""
    seen: dict[tuple[object, ...], Finding] = {}
    for finding in sorted(findings, key=lambda each: (each.order, each.service or "")):
        key = (finding.code, finding.place, finding.variable, finding.message)
        first = seen.get(key)
        if first is None:
            seen[key] = finding
        elif not first.related and finding.related:
            seen[key] = replace(first, related=finding.related)
    return list(seen.values())
