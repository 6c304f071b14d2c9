"""Measured CPU and memory of the running processes, as Railway's metrics would show them (Linux; elsewhere nothing)."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from dataclasses import dataclass

from deploykit.sandbox import guard

SAMPLES_KEPT = 720
SAMPLE_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of one replica: ``cpu`` in vCPU since the reading before, ``memory_gb`` resident."""

    at_seconds: float
    environment: str
    service: str
    deployment: str
    replica: str
    region: str
    cpu: float
    memory_gb: float


def process_usage(root: int) -> tuple[float, float]:
    """CPU seconds and resident GB of a process and everything below it; zeros when it is gone."""
    cpu_seconds, resident_bytes = 0.0, 0
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for pid in [root, *guard.descendants(root)]:
        with (
            contextlib.suppress(OSError, IndexError, ValueError),
            open(f"/proc/{pid}/stat", encoding="latin-1") as stat,
        ):
            fields = stat.read().rpartition(")")[2].split()
            cpu_seconds += (int(fields[11]) + int(fields[12])) / ticks
            resident_bytes += int(fields[21]) * page
    return cpu_seconds, resident_bytes / 1e9


class Metrics:
    """The latest samples of all replicas."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT * 8)
        self._before: dict[str, tuple[float, float]] = {}

    def read(self, pid: int, *, environment: str, service: str, deployment: str, replica: str, region: str) -> None:
        """Take one sample of a replica."""
        now = time.time()
        cpu_seconds, memory_gb = process_usage(pid)
        then, before = self._before.get(replica, (now, cpu_seconds))
        self._before[replica] = (now, cpu_seconds)
        while len(self._before) > SAMPLES_KEPT:
            del self._before[next(iter(self._before))]
        cpu = max(cpu_seconds - before, 0.0) / (now - then) if now > then else 0.0
        self.samples.append(Sample(now, environment, service, deployment, replica, region, cpu, memory_gb))

    def between(self, start_seconds: float, end_seconds: float) -> list[Sample]:
        return [sample for sample in self.samples if start_seconds <= sample.at_seconds <= end_seconds]
