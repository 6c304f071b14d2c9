"""One screen of 80 × 24: census, queue, schedules, last events, API budget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from deploykit.report import census as census_report
from deploykit.report.verify import sentence
from deploykit.verification.checks import Check, Health, Verdict, Verification

WIDTH = 80
HEIGHT = 24
CLEAR = "\x1b[H\x1b[2J"
_COLOURS = {Health.HEALTHY: "32", Health.UNHEALTHY: "31", Health.INCONCLUSIVE: "33"}


def screen(
    found: Verification | None,
    *,
    profile: str,
    at: datetime,
    problem: str | None,
    events: Sequence[str],
    api: str,
    color: bool = False,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> str:
    """The whole screen, never more than ``height`` lines of ``width`` characters."""
    health = found.health if found else Health.INCONCLUSIVE
    head = f"{profile}  {health}  {at:%Y-%m-%d %H:%M:%S} UTC  {api}"
    body = [head[:width], "-" * width]
    if problem:
        body.append(f"Railway did not answer: {problem}")
    if found:
        body += census_report.table(found.census, width=width).splitlines()[:8]
        body += ["", _queue(found), *_schedules(found)[:3]]
        body += [f"{'✗' if c.verdict is Verdict.FAIL else '?'} {c.id}: {c.summary}" for c in _bad(found)][:5]
    left = max(1, height - len(body) - 2)
    body += ["", *events[-left:]] if events else []
    lines = [line if len(line) <= width else line[: width - 1] + "…" for line in body[:height]]
    if color:
        lines[0] = f"\x1b[1;{_COLOURS[health]}m{lines[0]}\x1b[0m"
    return "\n".join(lines)


def line(found: Verification | None, *, at: datetime, problem: str | None) -> str:
    """One line for a pipe: written when something changed."""
    told = f"{found.health}: {sentence(found)}" if found else f"inconclusive: {problem}"
    return f"{at:%Y-%m-%dT%H:%M:%SZ} {told}"


def api(requests: int, an_hour: int, limit: int, remaining: int | None) -> str:
    """What watching costs, against what Railway allows in an hour; what is left of it once half is gone."""
    left = "" if remaining is None or remaining > limit / 2 else f", {remaining} left"
    return f"API {requests}/look {an_hour}/h of {limit}{left}"


def _queue(found: Verification) -> str:
    queue = found.evidence.queue
    if queue is None:
        return "queue: not known"
    oldest = "" if queue.oldest_queued_seconds is None else f", oldest {queue.oldest_queued_seconds:.0f} s"
    return f"queue: {queue.queued} queued{oldest}, {queue.running} running, {queue.failed} failed"


def _schedules(found: Verification) -> list[str]:
    schedules = found.evidence.schedules
    if schedules is None:
        return ["schedules: not known"]
    enabled = [schedule for schedule in schedules if schedule.enabled]
    lines = [f"schedules: {len(enabled)} of {len(schedules)} enabled"]
    for schedule in enabled:
        due = f"{schedule.next_run_at:%m-%d %H:%M}" if schedule.next_run_at else "-"
        last = f"{schedule.last_run_at:%m-%d %H:%M}" if schedule.last_run_at else "never"
        lines.append(f"  {schedule.name}: next {due}, last {last}")
    return lines


def _bad(found: Verification) -> list[Check]:
    return [check for check in found.checks if check.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)]
