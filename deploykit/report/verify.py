"""What verify found, for a person and for a program."""

from __future__ import annotations

from typing import Any

from deploykit.report import census as census_report
from deploykit.verification.census import DAEMON, WORKER, Census, Class, Row
from deploykit.verification.checks import Check, Health, Verdict, Verification

SCHEMA = "deploykit.verify/1"
_MARKS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.INCONCLUSIVE: "?", Verdict.SKIP: "-"}
_COLOURS = {Verdict.PASS: "32", Verdict.FAIL: "31", Verdict.INCONCLUSIVE: "33", Verdict.SKIP: "2"}
_HEALTH = {Health.HEALTHY: "32", Health.UNHEALTHY: "31", Health.INCONCLUSIVE: "33"}


def text(found: Verification, *, color: bool = False, verbose: bool = False) -> str:
    """The table, what is wrong or unclear with its cure, and one sentence. Passed checks only when asked for."""
    parts = [census_report.table(found.census, color=color), ""]
    told = [check for check in found.checks if verbose or check.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)]
    told += [check for check in found.checks if not verbose and check.id.startswith("smoke:") and check not in told]
    parts += [_line(check, color) for check in told]
    parts += [""] if told else []
    passed = sum(check.verdict is Verdict.PASS for check in found.checks)
    verdict = str(found.health)
    if color:
        verdict = f"\x1b[1;{_HEALTH[found.health]}m{verdict}\x1b[0m"
    parts.append(f"{verdict}: {sentence(found)} ({passed} of {len(found.checks)} checks passed)")
    return "\n".join(parts)


def as_json(found: Verification) -> dict[str, Any]:
    """The JSON result. It holds no variable values and no credentials."""
    snapshot = found.evidence.snapshot
    samples = found.evidence.samples
    return {
        "schema": SCHEMA,
        "profile": found.profile.name,
        "environment": snapshot.environment_name if snapshot else None,
        "verdict": str(found.health),
        "sentence": sentence(found),
        "observed_seconds": round(found.evidence.observed_seconds, 1),
        "observed_at": samples[-1].at.isoformat() if samples else None,
        "api_requests": found.evidence.api_requests,
        "checks": [
            {
                "id": check.id,
                "verdict": str(check.verdict),
                "summary": check.summary,
                "hint": check.hint,
                "evidence": dict(check.evidence),
            }
            for check in found.checks
        ],
        "census": census_report.as_json(found.census),
    }


def sentence(found: Verification) -> str:
    """The whole in one sentence: how many of how many, who they are, and how many others."""
    counted = found.census
    parts = [_count(counted, DAEMON, "schedule daemons"), _count(counted, WORKER, "job workers")]
    others = len(counted.ghosts)
    seconds = found.evidence.observed_seconds
    watched = f"in {seconds:.0f} s" if seconds >= 1 else "in two looks"
    if len(found.evidence.samples) < 2:
        return f"{', '.join(parts)}; whether there are others is not known"
    return f"{', '.join(parts)}; {others} others {watched}"


def _count(counted: Census, kind: str, words: str) -> str:
    homed = [row for row in counted.of(kind, Class.EXPECTED, Class.MISCONFIGURED) if not row.unwanted]
    told = f"{len(homed)} of {counted.wanted[kind]} {words} alive"
    return f"{told}: {_who(homed[0])}" if len(homed) == 1 else told


def _who(row: Row) -> str:
    words = [f"deployment {census_report.short(row.deployment)}"] if row.deployment else []
    words += [f"replica {census_report.short(row.replica)}"] if row.replica else []
    if row.heartbeat_interval_ms is not None:
        words.append(f"beating every {census_report.interval(row.heartbeat_interval_ms)}")
    if row.poll_interval_ms is not None:
        as_planned = "" if row.class_ is Class.MISCONFIGURED else " as planned"
        words.append(f"poll {row.poll_interval_ms} ms{as_planned}")
    return ", ".join(words)


def _line(check: Check, color: bool) -> str:
    mark = _MARKS[check.verdict]
    if color:
        mark = f"\x1b[{_COLOURS[check.verdict]}m{mark}\x1b[0m"
    hint = f"\n    → {check.hint}" if check.hint and check.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE) else ""
    return f"{mark} {check.id}: {check.summary}{hint}"
