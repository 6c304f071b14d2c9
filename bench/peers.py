"""The same no-op jobs through well-known job systems: `python -m bench.peers` adds them to bench/RESULTS.md.

Huey keeps its queue in the same durable MySQL; Dramatiq, Celery and RQ keep theirs in Redis, which here forgets what it
had when it crashes. They live in an environment of their own (DEPLOYKIT_PEERS names its folder), made once by
`python -m bench.peers --install`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import runtime_speed as speed, runtime_waiting as waiting
from bench.runtime_server import durable_mysql, url
from runtime.db import Database, connect
from tests.mysql.provision import cache_folder
from tests.mysql.server import Server, free_port

RESULTS = Path(__file__).with_name("RESULTS.md")
PACKAGES = ("huey", "peewee", "pymysql", "celery[redis]", "packaging", "rq", "dramatiq[redis]")
JOBS = 2000
ROUNDS = 3
IDLE_SECONDS = 60
HEADING = "## Beside others"


@dataclass(frozen=True, slots=True)
class Peer:
    """A job system: the words that start its worker, and whether its queue is in Redis."""

    name: str
    kind: str
    command: tuple[str, ...]
    redis: bool


HUEY = Peer("Huey on MySQL, as it comes", "huey", ("huey_consumer", "peer_app.huey"), False)
HUEY_BEST = Peer("Huey on MySQL, 8 threads", "huey", ("huey_consumer", "peer_app.huey", "-w", "8", "-d", "0.01"), False)
DRAMATIQ = Peer("Dramatiq on Redis, 2 processes", "dramatiq", ("dramatiq", "peer_app", "-p", "2"), True)
CELERY = Peer("Celery on Redis, 1 process", "celery", ("celery", "-A", "peer_app", "worker", "-c", "1"), True)
RQ = Peer("RQ on Redis", "rq", ("rq", "worker"), True)


class Missing(Exception):
    """Why the peers cannot be measured here."""


def environment() -> Path:
    named = os.environ.get("DEPLOYKIT_PEERS")
    return Path(named) if named else cache_folder().with_name("peers")


def install() -> None:
    subprocess.run([sys.executable, "-m", "venv", environment()], check=True)
    subprocess.run([environment() / "bin" / "pip", "install", "-q", *PACKAGES], check=True)


@dataclass(slots=True)
class Bench:
    server: Server
    db: Database
    redis_port: int
    folder: Path

    def run(self, peer: Peer, *words: str) -> str:
        """What peer_app.py prints."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            # Not as __main__, which is another name for its job than the one the worker knows.
            [str(environment() / "bin" / "python"), "-c", "import peer_app; peer_app.main()", *words],
            env=self._environment(peer),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode != 0:
            raise Missing(f"{peer.name}: {done.stderr.strip()[-400:]}")
        return done.stdout.strip()

    @contextmanager
    def worker(self, peer: Peer) -> Iterator[subprocess.Popen[bytes]]:
        program, *rest = peer.command
        if peer.kind == "rq":
            rest = [*rest, "--url", f"redis://127.0.0.1:{self.redis_port}"]
        process = subprocess.Popen(
            [environment() / "bin" / program, *rest],
            env=self._environment(peer),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()

    def _environment(self, peer: Peer) -> dict[str, str]:
        return {
            "PATH": f"{environment() / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parent),
            "PEER": peer.kind,
            "PEER_MYSQL_PORT": str(self.server.port),
            "PEER_REDIS_PORT": str(self.redis_port),
        }

    def drained_per_second(self, peer: Peer) -> float:
        """From the start of work to the last job, counted by the jobs themselves in Redis."""
        self.run(peer, "fill", str(JOBS))
        with self.worker(peer):
            return JOBS / float(self.run(peer, "wait", str(JOBS)))

    def idle(self, peer: Peer) -> tuple[float, float]:
        """MiB of all its processes and CPU seconds a minute, after a minute."""
        self.run(peer, "fill", "0")
        with self.worker(peer) as process:
            time.sleep(IDLE_SECONDS)
            before = sum(waiting.cpu_seconds(pid) for pid in _family(process.pid))
            time.sleep(IDLE_SECONDS)
            family = _family(process.pid)
            cpu = sum(waiting.cpu_seconds(pid) for pid in family) - before
            return sum(waiting.rss_bytes(pid) for pid in family) / 2**20, cpu * 60 / IDLE_SECONDS


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _family(int(child)))]


@contextmanager
def redis() -> Iterator[int]:
    """The port of a private Redis."""
    program = shutil.which("redis-server")
    if program is None:
        raise Missing("redis-server is not on this machine; apt-get install redis-server brings it")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [program, "--port", str(port), "--save", "", "--dir", folder], stdout=subprocess.DEVNULL
        )
        try:
            time.sleep(0.5)
            yield port
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    if "--install" in sys.argv:
        install()
        return
    with (
        durable_mysql() as server,
        redis() as port,
        connect(url(server)) as db,
        tempfile.TemporaryDirectory() as folder,
    ):
        lines = _measure(Bench(server, db, port, Path(folder)))
    print("\n".join(lines))
    page = RESULTS.read_text(encoding="utf-8").partition(HEADING)[0] if RESULTS.exists() else ""
    RESULTS.write_text(page.rstrip() + "\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


def _measure(bench: Bench) -> list[str]:
    mine, theirs = list[float](), {peer: list[float]() for peer in (HUEY, HUEY_BEST, DRAMATIQ)}
    for _ in range(ROUNDS):
        mine.append(speed.runtime_drain(bench.server, bench.db, 2))
        for peer, rates in theirs.items():
            rates.append(bench.drained_per_second(peer))
    lines = [HEADING, "", "| no-op jobs | jobs/s | range | the runtime is faster by |", "| --- | ---: | --- | ---: |"]
    lines.append(f"| **runtime on MySQL, 2 workers** | {median(mine):,.0f} | {min(mine):,.0f}–{max(mine):,.0f} | |")
    for peer, rates in theirs.items():
        factor = median(ours / other for ours, other in zip(mine, rates, strict=True))
        lines.append(f"| {peer.name} | {median(rates):,.0f} | {min(rates):,.0f}–{max(rates):,.0f} | {factor:.1f}× |")
    lines += ["", "| an idle minute | RSS of all its processes | CPU |", "| --- | ---: | ---: |"]
    own = waiting.idle(bench.server, bench.db, "worker", {"JOB_WORKER_POLL_INTERVAL_MS": "30000"}, IDLE_SECONDS)
    lines.append(f"| **runtime, a worker** | {own['rss_mib']:.1f} MiB | {own['cpu_seconds_a_minute']:.2f} s |")
    for peer in (HUEY, CELERY, RQ):
        rss, cpu = bench.idle(peer)
        lines.append(f"| {peer.name} | {rss:.1f} MiB | {cpu:.2f} s |")
    return lines


if __name__ == "__main__":
    main()
