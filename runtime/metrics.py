"""What a process tells Prometheus about itself. Figures of this process only: no query is made for them."""

from __future__ import annotations

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[str, str, str, float]
"""name, type, help, value"""


def text(samples: list[Sample]) -> str:
    """Prometheus' text format."""
    lines = []
    for name, kind, meaning, value in samples:
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", f"{name} {value:g}"]
    return "\n".join(lines) + "\n"
