"""The processes of a deployed system, from environment to end: worker, daemon, web."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from runtime import handlers
from runtime.loop import Stop
from runtime.settings import Settings

Run = Callable[[Settings], None]


def named(words: list[str]) -> Run | None:
    """The process that these words of a command line start; None when they are something else."""
    known: dict[tuple[str, ...], Run] = {
        ("worker",): worker,
        ("daemon",): daemon,
        ("daemon", "--once"): partial(daemon, once=True),
        ("web",): web,
    }
    return known.get(tuple(words))


def worker(settings: Settings) -> None:
    """Run jobs until told to stop."""
    from runtime.worker import Worker

    settings.require_database_url()
    stop = _stop_on_signals()
    worker = Worker(settings, handlers.load(settings.jobs_module), stop)
    _listen("[worker]", settings, worker)
    worker.run()


def daemon(settings: Settings, *, once: bool = False) -> None:
    """Enqueue what the schedules say until told to stop; with `once`, look once and end (Railway's cron services)."""
    from runtime.daemon import ScheduleDaemon

    settings.require_daemon_enabled()
    settings.require_database_url()
    stop = _stop_on_signals()
    daemon = ScheduleDaemon(settings, handlers.load(settings.jobs_module), stop, once=once)
    if not once:
        _listen("[daemon]", settings, daemon)
    daemon.run()


def _listen(who: str, settings: Settings, process: Any) -> None:
    """Wake-ups and metrics, where they are configured."""
    if settings.wake_port:
        from runtime.wakeup import listen

        listen(who, settings.wake_port, process.wake)
    if settings.metrics_port:
        from runtime import metrics
        from runtime.web.exchange import Response
        from runtime.web.server import serve

        serve(
            settings.metrics_port,
            lambda request: Response(200, metrics.CONTENT_TYPE, metrics.text(process.samples()).encode()),
        )


def web(settings: Settings) -> None:
    """Serve /health and /metrics, and run a worker beside them if EMBEDDED_JOB_WORKER=true."""
    from runtime.web.server import Web

    Web(settings, _stop_on_signals()).run()


def _stop_on_signals() -> Stop:
    """SIGTERM and SIGINT ask for a stop; a second one ends the process at once."""
    stop = Stop()

    def handle(number: int, frame: Any) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.request()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop
