"""``deploykit lint``: read, judge, mend."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from os.path import commonpath
from pathlib import Path
from typing import Any

from deploykit.commands.sources import Files, collect
from deploykit.errors import ConfigurationError, DeploykitError, UsageError
from deploykit.findings import Edit, Finding, Severity
from deploykit.rules import CATALOGUE, Outcome, Settings, Sources, expand, lint as judge, read_settings
from deploykit.sources import text as texts

_HEADER = "rendered by deploykit from "
_MAX_PASSES = 20
_BASELINE_SCHEMA = "deploykit.lint-baseline/1"


@dataclass(frozen=True, slots=True)
class Options:
    """What may be asked for, besides the files."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    fix: bool = False
    unsafe_fixes: bool = False
    baseline: Path | None = None
    update_baseline: bool = False
    stdin: tuple[str, str] | None = None
    today: date | None = None


@dataclass(frozen=True, slots=True)
class Linted:
    """What a run of lint found and did."""

    root: Path
    outcome: Outcome
    fixed: int
    before: Mapping[str, str]
    after: Mapping[str, str]

    @property
    def failed(self) -> bool:
        """Whether an error is left."""
        return any(finding.severity is Severity.ERROR for finding in self.outcome.findings)

    @property
    def changed(self) -> list[str]:
        """The files that fixes change."""
        return [path for path, text in self.after.items() if self.before.get(path) != text]

    def diff(self) -> str:
        """What the fixes change, as a unified diff."""
        import difflib

        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for path in self.changed
            for line in difflib.unified_diff(
                self.before[path].splitlines(keepends=True),
                self.after[path].splitlines(keepends=True),
                f"a/{path}",
                f"b/{path}",
            )
        )


def lint(
    project_dir: Path,
    paths: Sequence[str] = (),
    options: Options | None = None,
    *,
    write: bool = True,
    progress: Callable[[str], None] = lambda text: None,
) -> Linted:
    """Lint ``paths`` (the project by default); with ``options.fix`` mend what can be mended, and write it.

    Raises UsageError for an unknown path or rule, ConfigurationError for broken settings.
    """
    with _rare_collections():
        return _lint(project_dir, paths, options or Options(), write, progress)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Collect garbage rarely: with ten thousand trees in memory every collection walks them all, and frees nothing."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _lint(
    project_dir: Path, paths: Sequence[str], options: Options, write: bool, progress: Callable[[str], None]
) -> Linted:
    settings = settings_of(project_dir, options)
    files = collect(
        project_dir,
        paths,
        source_dirs=[*settings.sources, *options.sources],
        exclude=settings.exclude,
        stdin=options.stdin,
        today=options.today,
    )
    if len(files.sources.texts) > 500:
        progress(f"checking {len(files.sources.texts)} files")
    before = files.sources.texts
    sources = replace(files.sources, rendered=rendered(files.sources))
    outcome, fixed = judge(sources, settings), 0
    if options.fix:
        sources, outcome, fixed = mend(sources, outcome, settings, unsafe=options.unsafe_fixes)
        if write and options.stdin is None:
            _write(files, before, sources.texts)
    if options.baseline:
        outcome = _against(options.baseline, outcome, update=options.update_baseline)
    return Linted(files.root, outcome, fixed, before, sources.texts)


def rendered(sources: Sources) -> dict[str, str]:
    """What the files with our header would be, were they rendered now; without those whose profile cannot be read."""
    if not any(_HEADER in text[:600] for text in sources.texts.values()):
        return {}
    from deploykit.profile.rendered import read_header

    wanted: dict[str, str] = {}
    artefacts: dict[str, dict[str, str]] = {}
    for path, text in sources.texts.items():
        header = read_header(text)
        if header is None:
            continue
        above = [each for each in sources.profiles if each == header.source or each.endswith(f"/{header.source}")]
        profile = max(above, key=lambda each: len(commonpath([each, path])), default=None)
        if profile is None:
            continue
        if profile not in artefacts:
            artefacts[profile] = _artefacts(profile, sources)
        keys = [key for key in artefacts[profile] if path == key or path.endswith(f"/{key}")]
        if keys:
            wanted[path] = artefacts[profile][max(keys, key=len)]
    return wanted


def _artefacts(path: str, sources: Sources) -> dict[str, str]:
    from deploykit.profile.load import load
    from deploykit.rendering.render import render

    def read(other: Path) -> str:
        if other.as_posix() not in sources.texts:
            raise FileNotFoundError(other.as_posix())
        return sources.texts[other.as_posix()]

    profile = load(Path(path), text=sources.texts[path], read=read).profile
    try:
        return render(profile) if profile else {}
    except DeploykitError:
        return {}  # `render` says why, at length


def settings_of(project_dir: Path, options: Options) -> Settings:
    """The project's settings with the options over them."""
    settings = project_settings(project_dir)
    selected = settings.selected
    if options.select:
        selected = expand(options.select)
    return replace(settings, selected=selected - expand(options.ignore))


def project_settings(project_dir: Path) -> Settings:
    """``deploykit.toml``, else ``[tool.deploykit]`` of pyproject.toml. Raises ConfigurationError."""
    own, shared = project_dir / "deploykit.toml", project_dir / "pyproject.toml"
    for path in (own, shared):
        if not path.is_file():
            continue
        import tomllib

        try:
            with path.open("rb") as file:
                data: Any = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            if path == shared:
                continue
            raise ConfigurationError(f"the file is no TOML: {error}", where=str(path)) from None
        if path == shared:
            data = data.get("tool", {}).get("deploykit")
            if data is None:
                continue
        if not isinstance(data, dict):
            raise ConfigurationError("[tool.deploykit] should be a table", where=str(path))
        return read_settings(data, str(path))
    return Settings()


def mend(sources: Sources, outcome: Outcome, settings: Settings, *, unsafe: bool) -> tuple[Sources, Outcome, int]:
    """Apply fixes until none is left. Fixes that touch the same text wait for the next pass."""
    fixed = 0
    for _ in range(_MAX_PASSES):
        chosen = choose(outcome.findings, sources.texts, unsafe=unsafe)
        if not chosen:
            break
        edits: dict[str, list[Edit]] = {}
        for finding in chosen:
            assert finding.fix
            for edit in finding.fix.edits:
                edits.setdefault(edit.path, []).append(edit)
        mended = {path: texts.apply(sources.texts[path], each) for path, each in edits.items()}
        if all(sources.texts[path] == text for path, text in mended.items()):
            break
        sources = replace(sources, texts={**sources.texts, **mended})
        outcome = judge(sources, settings)
        fixed += len(chosen)
    return sources, outcome, fixed


def choose(findings: Iterable[Finding], known: Mapping[str, str], *, unsafe: bool) -> list[Finding]:
    """The findings whose fixes can be made together: of two that touch the same text the first one wins."""
    taken: list[Edit] = []
    chosen = []
    for finding in findings:
        fix = finding.fix
        if fix is None or not fix.edits or not (fix.safe or unsafe):
            continue
        if any(edit.path not in known for edit in fix.edits):
            continue
        if any(_touch(edit, other) for edit in fix.edits for other in taken):
            continue
        taken.extend(fix.edits)
        chosen.append(finding)
    return chosen


def _touch(first: Edit, second: Edit) -> bool:
    same_spot = first.path == second.path and first.start == second.start and first.end == second.end
    return same_spot or texts.overlap(first, second)


def _write(files: Files, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    for path, text in after.items():
        if before.get(path) != text:
            files.write(path, text)


def _against(path: Path, outcome: Outcome, *, update: bool) -> Outcome:
    """The findings that the baseline does not know. ``update`` writes it anew from what is found now."""
    import json

    counts = Counter(_fingerprint(finding) for finding in outcome.findings)
    if update:
        known = {"schema": _BASELINE_SCHEMA, "findings": dict(sorted(counts.items()))}
        path.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n", "utf-8")
        return replace(outcome, findings=(), hidden=(*outcome.hidden, *outcome.findings))
    left = Counter(_read_baseline(path))
    new, old = [], []
    for finding in outcome.findings:
        key = _fingerprint(finding)
        if left[key] > 0:
            left[key] -= 1
            old.append(finding)
        else:
            new.append(finding)
    return replace(outcome, findings=tuple(new), hidden=(*outcome.hidden, *old))


def _read_baseline(path: Path) -> dict[str, int]:
    import json

    hint = f"deploykit lint --baseline {path} --update-baseline writes it"
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError:
        raise UsageError(f"no baseline {str(path)!r}", hint=hint) from None
    except (ValueError, UnicodeDecodeError):
        raise ConfigurationError("the baseline is no JSON", where=str(path), hint=hint) from None
    found = data.get("findings") if isinstance(data, dict) and data.get("schema") == _BASELINE_SCHEMA else None
    if not isinstance(found, dict) or not all(isinstance(count, int) for count in found.values()):
        raise ConfigurationError("the file is no baseline of deploykit lint", where=str(path), hint=hint)
    return found


def _fingerprint(finding: Finding) -> str:
    """What a finding is, without its line: other lines may come and go above it."""
    return " | ".join(
        (finding.code, finding.place.path, finding.service or "", finding.variable or "", finding.message)
    )


def describe() -> list[tuple[str, str, Severity, str, str]]:
    """Code, name, severity, title and why of every rule."""
    return [(rule.code, rule.name, rule.severity, rule.title, rule.why) for _, rule in sorted(CATALOGUE.items())]
