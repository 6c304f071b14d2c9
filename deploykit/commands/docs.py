"""Writes the documents that come from the code: ``python -m deploykit.commands.docs``; ``--check`` only compares."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from deploykit.commands.explain import everything, explained
from deploykit.commands.schema import schema_text
from deploykit.report.explain import markdown


def documents() -> Mapping[str, str]:
    """Every generated document by its path in the repository."""
    return {
        "docs/rules.md": markdown([explained(rule) for rule in everything()]),
        "docs/profile.schema.json": schema_text(),
    }


def stale(root: Path) -> list[str]:
    """The documents under ``root`` that differ from what the code says."""
    return [
        path
        for path, text in documents().items()
        if not (root / path).is_file() or (root / path).read_text("utf-8") != text
    ]


def main(root: Path, *, check: bool) -> int:
    """Write what is stale, or only name it."""
    late = stale(root)
    for path in late:
        if not check:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(documents()[path], "utf-8")
        sys.stdout.write(f"{'stale' if check else 'wrote'}: {path}\n")
    return 1 if check and late else 0


if __name__ == "__main__":
    sys.exit(main(Path(), check="--check" in sys.argv[1:]))
