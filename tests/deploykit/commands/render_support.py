"""What a test sees of a folder."""

from __future__ import annotations

from pathlib import Path


def files_in(folder: Path) -> list[str]:
    """Every file below ``folder``, relative and sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
