"""The same no-op jobs through well-known job systems, and what they cost idle: `python -m bench.peers [drain] [idle]`.

Huey keeps its queue in the same durable MySQL; Dramatiq, BullMQ, Celery and RQ keep theirs in Redis, which here forgets
what it had when it crashes. They live in an environment of their own (DEPLOYKIT_PEERS names its folder), made once by
`python -m bench.peers --install`; redis-server, node and npm must be on the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import runtime_speed as speed, runtime_waiting as waiting
from bench.runtime import PRE_LAUNCH_DAEMON, PRE_LAUNCH_WORKER
from bench.runtime_server import durable_mysql, url
from runtime.db import Database, connect
from tests.mysql.provision import cache_folder
from tests.mysql.server import Server, free_port

PACKAGES = ("huey", "peewee", "pymysql", "celery[redis]", "packaging", "rq", "dramatiq[redis]")
NODE_PACKAGES = ("bullmq", "ioredis")
ROUNDS = 3
IDLE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Peer:
    """A job system: the words that start a process of it, whether its queue is in Redis, and how it is measured."""

    name: str
    kind: str
    command: tuple[str, ...]
    redis: bool
    processes: int = 1
    jobs: int = 2000


HUEY = Peer("Huey on MySQL, as it comes", "huey", ("huey_consumer", "peer_app.huey"), False)
HUEY_BEST = Peer("Huey on MySQL, 8 threads", "huey", ("huey_consumer", "peer_app.huey", "-w", "8", "-d", "0.01"), False)
DRAMATIQ = Peer("Dramatiq on Redis, 2 processes", "dramatiq", ("dramatiq", "peer_app", "-p", "2"), True)
BULLMQ_APP = str(Path(__file__).with_name("peer_bullmq.cjs"))
BULLMQ = Peer("BullMQ on Redis, 2 processes", "bullmq", ("node", BULLMQ_APP, "work"), True, 2, 20_000)
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
    if npm := shutil.which("npm"):
        words = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run([npm, "install", *words, "--prefix", environment(), *NODE_PACKAGES], check=True)


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
        path = shutil.which(program) if program == "node" else environment() / "bin" / program
        if path is None:
            raise Missing(f"{peer.name}: {program} is not on this machine")
        process = subprocess.Popen(
            [path, *rest],
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
            "NODE_PATH": str(environment() / "node_modules"),
            "PEER": peer.kind,
            "PEER_BULLMQ": BULLMQ_APP,
            "PEER_MYSQL_PORT": str(self.server.port),
            "PEER_REDIS_PORT": str(self.redis_port),
        }

    def drained_per_second(self, peer: Peer) -> float:
        """From the start of work to the last job, counted by the jobs themselves in Redis."""
        self.run(peer, "fill", str(peer.jobs))
        with ExitStack() as stack:
            for _ in range(peer.processes):
                stack.enter_context(self.worker(peer))
            return peer.jobs / float(self.run(peer, "wait", str(peer.jobs)))

    def idle(self, peer: Peer) -> tuple[float, float, float]:
        """MiB of all its processes, queries and CPU seconds a minute, after a minute."""
        self.run(peer, "fill", "0")
        with self.worker(peer) as process:
            time.sleep(IDLE_SECONDS)
            cpu = sum(waiting.cpu_seconds(pid) for pid in _family(process.pid))
            asked = self._asked(peer)
            time.sleep(IDLE_SECONDS)
            asked, family = self._asked(peer) - asked, _family(process.pid)
            cpu = sum(waiting.cpu_seconds(pid) for pid in family) - cpu
            rss_mib = sum(waiting.rss_bytes(pid) for pid in family) / 2**20
            return rss_mib, asked * 60 / IDLE_SECONDS, cpu * 60 / IDLE_SECONDS

    def _asked(self, peer: Peer) -> int:
        """How many statements or commands its queue has had so far."""
        if not peer.redis:
            return waiting.statements(self.db, "bench")
        command = ["redis-cli", "-p", str(self.redis_port), "info", "stats"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return next(int(line.partition(":")[2]) for line in answer.splitlines() if "total_commands_processed" in line)


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
    try:
        _print_figures()
    except Missing as reason:
        sys.exit(f"peers not measured: {reason}")


def _print_figures() -> None:
    if not (environment() / "bin" / "python").exists():
        raise Missing("they are not installed; python -m bench.peers --install does it")
    wanted = [word for word in ("drain", "idle") if word in sys.argv] or ["drain", "idle"]
    with (
        durable_mysql() as server,
        redis() as port,
        connect(url(server)) as db,
        tempfile.TemporaryDirectory() as folder,
    ):
        bench = Bench(server, db, port, Path(folder))
        for word in wanted:
            print("\n".join(_drain(bench) if word == "drain" else _idle(bench)), flush=True)


def _drain(bench: Bench) -> list[str]:
    mine, theirs = list[float](), {peer: list[float]() for peer in (HUEY, HUEY_BEST, DRAMATIQ, BULLMQ)}
    for _ in range(ROUNDS):
        mine.append(speed.runtime_drain(bench.server, bench.db, 2))
        for peer, rates in theirs.items():
            rates.append(bench.drained_per_second(peer))
    lines = ["| no-op jobs | jobs/s | range | the runtime is faster by |", "| --- | ---: | --- | ---: |"]
    lines.append(f"| **runtime on MySQL, 2 workers** | {median(mine):,.0f} | {min(mine):,.0f}–{max(mine):,.0f} | |")
    for peer, rates in theirs.items():
        factor = median(ours / other for ours, other in zip(mine, rates, strict=True))
        lines.append(f"| {peer.name} | {median(rates):,.0f} | {min(rates):,.0f}–{max(rates):,.0f} | {factor:.1f}× |")
    return [*lines, ""]


def _idle(bench: Bench) -> list[str]:
    lines = ["| an idle minute | RSS of all its processes | queries | CPU |", "| --- | ---: | ---: | ---: |"]
    for name, kind, settings in (
        ("**runtime, a daemon**", "daemon", PRE_LAUNCH_DAEMON),
        ("**runtime, a worker**", "worker", PRE_LAUNCH_WORKER),
    ):
        own = waiting.idle(bench.server, bench.db, kind, settings, IDLE_SECONDS)
        lines.append(_idle_line(name, own["rss_mib"], own["queries_a_minute"], own["cpu_seconds_a_minute"]))
    return [*lines, *(_idle_line(peer.name, *bench.idle(peer)) for peer in (HUEY, CELERY, RQ)), ""]


def _idle_line(name: str, rss_mib: float, queries: float, cpu_seconds: float) -> str:
    return f"| {name} | {rss_mib:.1f} MiB | {queries:,.0f} | {cpu_seconds:.2f} s |"


if __name__ == "__main__":
    main()
