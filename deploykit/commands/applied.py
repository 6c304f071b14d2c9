"""Which profile was applied last: what verify verifies when nobody says."""

from __future__ import annotations

import json
from pathlib import Path

from deploykit.errors import ConfigurationError

FILE = Path(".deploykit") / "applied.json"


def profile_name(project_dir: Path) -> str:
    """The profile that apply recorded. Raises ConfigurationError when there is no record."""
    path = project_dir / FILE
    hint = "name a profile: deploykit verify pre-launch"
    try:
        record = json.loads(path.read_text("utf-8"))
        return str(record["profile"])
    except FileNotFoundError:
        raise ConfigurationError("nothing was applied from this folder yet", where=str(path), hint=hint) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigurationError("cannot read which profile was applied", where=str(path), hint=hint) from None
