"""One session per question; ``nox -l`` lists them.

``rehearse`` is the main job, ``tests`` is everything a reviewer wants to see.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = False
nox.needs_version = ">=2024.3.2"

CACHE = Path(os.environ.get("DEPLOYKIT_CACHE") or Path.home() / ".cache" / "deploykit")


def _install(session: nox.Session, *extras: str) -> None:
    """Install the project itself, editable, so that sessions test what stands here."""
    session.install("-q", "-e", f".[{','.join(extras)}]" if extras else ".")


def _apt(session: nox.Session, program: str, *packages: str) -> bool:
    """Install Debian packages when ``program`` is missing and we may; say precisely what is missing otherwise."""
    if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"):
        return True
    if os.geteuid() == 0 and shutil.which("apt-get"):
        session.log(f"installing {' '.join(packages)} for {program}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ):
            done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, timeout=600, check=False)
            if done.returncode != 0:
                session.warn(f"{' '.join(command)} failed; what needs {program} is skipped, with that reason")
                return False
        return True
    session.warn(f"{program} is missing and can only be installed as root: apt-get install {' '.join(packages)}")
    return False


@nox.session
def rehearse(session: nox.Session) -> None:
    """The main job on embedded defaults: plan, apply and verify a profile on a local Railway, with real processes."""
    _install(session)
    profile = session.posargs or ["pre-launch"]
    session.run("deploykit", "rehearse", *profile, "--database", "sqlite")


@nox.session
def tests(session: nox.Session) -> None:
    """Every test, on a real MySQL server too: style, types, import contracts, then the whole suite."""
    _install(session, "dev")
    session.install("-q", "railway-sdk")
    _check_style(session)
    session.run("mypy")
    session.run("lint-imports")
    _servers(session)
    _others(session)
    # Where a server cannot be had its tests are skipped with the reason; in CI that is a failure.
    strict = {"DEPLOYKIT_REQUIRE_SERVERS": "1"} if os.environ.get("CI") else {}
    session.run("pytest", "-q", "-n", "4", "--dist", "loadgroup", "-m", "not slow", *session.posargs, env=strict)


def _check_style(session: nox.Session) -> None:
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


def _servers(session: nox.Session) -> None:
    """Get the servers the tests use: MariaDB from Debian, real MySQL 9 unpacked into a cache, and a wrong clock."""
    _apt(session, "mariadbd", "mariadb-server-core", "mariadb-server")
    _apt(session, "haproxy", "haproxy")
    _apt(session, "faketime", "faketime")
    session.run("python", "-m", "tests.mysql.provision", success_codes=[0, 1])


def _others(session: nox.Session) -> None:
    """Node for Railway's own engine and Prisma's client, and a browser for the panel."""
    _apt(session, "npm", "nodejs", "npm")
    _apt(session, "chromium", "chromium", "chromium-driver")


@nox.session
def lint(session: nox.Session) -> None:
    """Style alone: ruff, and whether generated documents are fresh."""
    _install(session, "dev")
    _check_style(session)


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict."""
    _install(session, "dev")
    session.run("mypy")


@nox.session
def houses(session: nox.Session) -> None:
    """The import contracts, and the light runtime."""
    _install(session, "dev")
    session.run("lint-imports")
    session.run("pytest", "-q", "tests/houses")


@nox.session
def unit(session: nox.Session) -> None:
    """Tests without servers and processes."""
    _install(session, "dev")
    session.install("-q", "railway-sdk")
    session.run("pytest", "-q", "tests/deploykit", "tests/runtime", *session.posargs)


@nox.session
def mysql(session: nox.Session) -> None:
    """Everything that talks SQL, on a real MySQL server."""
    _install(session, "dev")
    _servers(session)
    session.run("pytest", "-q", "tests/mysql", *session.posargs)


@nox.session
def sandbox(session: nox.Session) -> None:
    """Sandbox, apply and verify against real processes."""
    _install(session, "dev")
    session.run("pytest", "-q", "tests/sandbox", "tests/apply", "tests/verify", "tests/journey", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The control panel in a real browser."""
    _install(session, "dev")
    _others(session)
    session.run("pytest", "-q", "tests/browser", *session.posargs)


@nox.session
def model(session: nox.Session) -> None:
    """The exhaustive searches over planning.decide and the lease, the long two-operator cases included."""
    _install(session, "dev")
    session.run("pytest", "-q", "tests/model", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """The whole fault table of verify and doctor, alone and in pairs, with the confusion matrix; about ten minutes."""
    _install(session, "dev")
    session.run("pytest", "-q", "-s", "tests/verify", *session.posargs, env={"DEPLOYKIT_FAULTS": "1"})


@nox.session
def fuzz(session: nox.Session) -> None:
    """10,000 mutated files of every kind through lint."""
    _install(session, "dev")
    session.run("pytest", "-q", "tests/deploykit/rules/test_fuzz.py", *session.posargs, env={"DEPLOYKIT_FUZZ": "10000"})


@nox.session
def soak(session: nox.Session) -> None:
    """Twenty minutes of load with workers, daemons and servers killed at random; DEPLOYKIT_SOAK_SEED repeats a run."""
    _install(session, "dev")
    _servers(session)
    seconds = os.environ.get("DEPLOYKIT_SOAK_SECONDS", "1200")
    session.run(
        "pytest", "-q", "-s", "tests/chaos/test_soak.py", *session.posargs, env={"DEPLOYKIT_SOAK_SECONDS": seconds}
    )


@nox.session
def failover(session: nox.Session) -> None:
    """The primary of a three-node MySQL group killed ten times under load."""
    _install(session, "dev")
    _servers(session)
    session.run(
        "pytest", "-q", "-s", "tests/chaos/test_failover.py", *session.posargs, env={"DEPLOYKIT_FAILOVER_KILLS": "10"}
    )


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against peers and limits, as ratios of one run; half an hour, on a machine that does nothing else."""
    _install(session, "dev")
    _servers(session)
    _others(session)
    _apt(session, "redis-server", "redis-server", "redis-tools")
    session.run("python", "-m", "bench.peers", "--install")
    for name in session.posargs or ("apply", "lint", "peers", "runtime"):
        session.run("python", "-m", f"bench.{name}")


@nox.session
def docs(session: nox.Session) -> None:
    """Write the documents that come from the code."""
    _install(session, "dev")
    session.run("python", "-m", "deploykit.commands.docs")
