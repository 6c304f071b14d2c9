"""Measured samples as Railway's metrics and usage answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from deploykit.sandbox.metrics import SAMPLE_EVERY_SECONDS, Metrics, Sample

MINUTES_PER_MONTH = 43_200
_TAGS = {
    "SERVICE_ID": ("serviceId", "service"),
    "ENVIRONMENT_ID": ("environmentId", "environment"),
    "DEPLOYMENT_ID": ("deploymentId", "deployment"),
    "DEPLOYMENT_INSTANCE_ID": ("deploymentInstanceId", "replica"),
    "REGION": ("region", "region"),
}
_ALL_TAGS = (
    "serviceId", "environmentId", "deploymentId", "deploymentInstanceId", "region", "projectId", "pluginId", "volumeId",
    "volumeInstanceId",
)  # fmt: skip
_MEASURED = {"CPU_USAGE": "cpu", "CPU_USAGE_2": "cpu", "MEMORY_USAGE_GB": "memory_gb"}


def seconds(moment: str | None, default: float) -> float:
    """A DateTime as Unix time."""
    if not moment:
        return default
    parsed = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def metrics(
    source: Metrics, measurements: list[str], start: str, end: str | None, selection: dict[str, Any]
) -> list[dict[str, Any]]:
    """One series per measurement and group; replicas of a group are added up."""
    samples = [
        sample
        for sample in source.between(seconds(start, 0), seconds(end, 2**40))
        if selection.get("serviceId") in (None, sample.service)
        and selection.get("environmentId") in (None, sample.environment)
    ]
    step = max(int(selection.get("sampleRateSeconds") or SAMPLE_EVERY_SECONDS), 1)
    answers = []
    for measurement in measurements:
        for tags, group in _groups(samples, selection.get("groupBy") or []):
            values: dict[int, dict[str, float]] = defaultdict(dict)
            for sample in group:
                values[int(sample.at_seconds) // step * step][sample.replica] = _value(sample, measurement)
            series = [{"ts": at, "value": sum(parts.values())} for at, parts in sorted(values.items())]
            answers.append({"measurement": measurement, "tags": tags, "values": series})
    return answers


def usage(
    source: Metrics, measurements: list[str], start: str | None, end: str | None, groups: list[str], project: str
) -> list[dict[str, Any]]:
    """vCPU-minutes and GB-minutes of the period."""
    samples = source.between(seconds(start, 0), seconds(end, 2**40))
    return [
        {
            "measurement": measurement,
            "tags": {**tags, "projectId": project},
            "value": sum(_value(sample, measurement) for sample in group) * SAMPLE_EVERY_SECONDS / 60,
        }
        for measurement in measurements
        for tags, group in _groups(samples, groups)
    ]


def estimated(source: Metrics, measurements: list[str], project: str) -> list[dict[str, Any]]:
    """The latest readings extended over a month."""
    latest = {sample.replica: sample for sample in source.samples}
    now = datetime.now(UTC).timestamp()
    living = [sample for sample in latest.values() if now - sample.at_seconds < 3 * SAMPLE_EVERY_SECONDS]
    return [
        {
            "measurement": measurement,
            "projectId": project,
            "estimatedValue": sum(_value(sample, measurement) for sample in living) * MINUTES_PER_MONTH,
        }
        for measurement in measurements
    ]


def _value(sample: Sample, measurement: str) -> float:
    return float(getattr(sample, _MEASURED[measurement])) if measurement in _MEASURED else 0.0


def _groups(samples: Iterable[Sample], names: list[str]) -> Iterable[tuple[dict[str, Any], list[Sample]]]:
    grouped: dict[tuple[str, ...], list[Sample]] = defaultdict(list)
    known = [_TAGS[name] for name in names if name in _TAGS]
    for sample in samples:
        grouped[tuple(str(getattr(sample, attribute)) for _, attribute in known)].append(sample)
    for key, group in grouped.items():
        tags = dict.fromkeys(_ALL_TAGS) | {tag: value for (tag, _), value in zip(known, key, strict=True)}
        yield tags, group
