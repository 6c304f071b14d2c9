"""One GraphQL operation a file, the file named like the operation."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "documents"


@cache
def document(name: str) -> str:
    """The text of the operation ``name``."""
    return (FOLDER / f"{name}.graphql").read_text(encoding="utf-8")


def is_mutation(text: str) -> bool:
    """Whether an operation changes something, and so is never sent twice blindly."""
    body = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return body.lstrip().startswith("mutation")
