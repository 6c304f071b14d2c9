"""Find a profile by name or path, and refuse it while it breaks a rule."""

from __future__ import annotations

import difflib
from pathlib import Path

from deploykit.errors import ConfigurationError
from deploykit.findings import Finding, Severity
from deploykit.profile.load import Loaded, load
from deploykit.profile.schema import Profile

_PACKAGE = Path(__file__).resolve().parent.parent


def bundled() -> Path:
    """The folder of the profiles that come with deploykit: in a wheel inside the package, in a checkout beside it."""
    inside = _PACKAGE / "bundled" / "profiles"
    return inside if inside.is_dir() else _PACKAGE.parent / "profiles"


def find(project_dir: Path, name: str) -> Path:
    """The file of a profile: a path, PROJECT_DIR/profiles/NAME.yaml, or the bundled one. Raises ConfigurationError."""
    given = Path(name)
    if given.suffix in (".yaml", ".yml"):
        for candidate in (given, project_dir / given):
            if candidate.is_file():
                return candidate
        raise ConfigurationError(f"no profile file {name!r}", hint="check the path")
    folders = (project_dir / "profiles", bundled())
    if "/" not in name and "\\" not in name:
        for folder in folders:
            candidate = folder / f"{name}.yaml"
            if candidate.is_file():
                return candidate
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    near = difflib.get_close_matches(name, known, n=1)
    raise ConfigurationError(
        f"no profile {name!r}",
        where=str(folders[0]),
        hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}",
    )


def checked(project_dir: Path, name: str) -> tuple[Profile, Loaded, list[Finding]]:
    """The profile of that name with its findings. Raises ConfigurationError while it has an error finding.

    This is the gate before Railway: nothing is sent while a rule is broken.
    """
    from deploykit.rules import check

    path = find(project_dir, name)
    try:
        loaded = load(path, root=project_dir)
    except OSError as error:
        raise ConfigurationError(f"cannot read the profile: {error.strerror}", where=str(path)) from None
    findings = sorted(check(loaded), key=lambda finding: finding.order)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors or loaded.profile is None:
        raise BrokenProfileError(path, errors)
    return loaded.profile, loaded, findings


class BrokenProfileError(ConfigurationError):
    """A profile breaks rules; the message lists every error with file, line, cause and cure."""

    def __init__(self, path: Path, errors: list[Finding]) -> None:
        first = errors[0] if errors else None
        lines = [_line(finding) for finding in errors[1:]]
        message = f"{first.code} {first.message}" if first else "the profile is invalid"
        if lines:
            message += "\n  cure: " + (first.hint if first else "") + "\n" + "\n".join(lines)
        super().__init__(
            message,
            where=str(first.place) if first else str(path),
            hint=f"deploykit lint {path} shows all of it; nothing was sent to Railway"
            if lines
            else f"{first.hint if first else ''} (deploykit explain {first.code if first else 'DK004'}; "
            "nothing was sent to Railway)",
        )
        self.findings = errors


def _line(finding: Finding) -> str:
    return f"error: {finding.place}: {finding.code} {finding.message}\n  cure: {finding.hint}"
