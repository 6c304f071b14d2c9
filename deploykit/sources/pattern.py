"""Regular expressions that cost nothing until they are used.

Lint knows well over a hundred, and one profile needs about a third of them: compiled at import, the others would take
a fifth of the time in which a person waits for `deploykit lint FILE`.
"""

from __future__ import annotations

import re
from typing import Any, cast


class _Late:
    """Stands for a compiled pattern, and compiles it at the first look at one of its methods."""

    def __init__(self, text: str, flags: int) -> None:
        self._source = (text, flags)

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(*self._source), name)
        setattr(self, name, value)  # the next look finds it here
        return value


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """``re.compile``, put off until the pattern is first used. Raises re.error then, not here."""
    return cast("re.Pattern[str]", _Late(text, flags))
