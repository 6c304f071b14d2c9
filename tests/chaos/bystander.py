"""The jobs of another release: it knows none of those in `handlers`."""

from __future__ import annotations

from runtime import job
from runtime.context import Job


@job()
def bystander(job: Job) -> None:
    """Does nothing, successfully."""
