"""What a repository starts already is found in the files people have."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from deploykit.commands.detect import READ, detect


def _package(**scripts: str) -> str:
    return json.dumps({"name": "app", "scripts": {name.replace("__", ":"): body for name, body in scripts.items()}})


def test_scripts_of_a_package_become_plain_calls_so_that_sigterm_arrives() -> None:
    found = detect({"package.json": _package(start="node dist/index.js", daemon__schedules="node dist/daemon.js")})
    assert found.web.command == "exec node dist/index.js"
    assert found.daemon.command == "exec node dist/daemon.js"
    assert found.daemon.why == "found: script 'daemon:schedules' in package.json"


@pytest.mark.parametrize(
    ("lock", "command"),
    [
        ("pnpm-lock.yaml", "pnpm run worker:jobs"),
        ("yarn.lock", "yarn run worker:jobs"),
        ("none", "npm run worker:jobs"),
    ],
)
def test_a_script_that_does_more_goes_through_its_package_manager(lock: str, command: str) -> None:
    texts = {"package.json": _package(worker__jobs="NODE_ENV=production tsx src/worker.ts")}
    assert detect(texts, frozenset({lock})).worker.command == command


def test_a_package_in_a_folder_is_started_in_that_folder() -> None:
    found = detect({"backend/package.json": _package(start="node dist/index.js")})
    assert found.web.command == "cd backend && exec node dist/index.js"


def test_a_dockerfile_makes_shell_commands_explicit() -> None:
    texts = {"backend/package.json": _package(start="node dist/index.js"), "Dockerfile": "FROM node:22\n"}
    assert detect(texts).web.command == '/bin/sh -c "cd backend && exec node dist/index.js"'


def test_without_a_shell_there_is_no_exec() -> None:
    found = detect({"package.json": _package(start="node dist/index.js"), "Dockerfile": "FROM node:22\n"})
    assert found.web.command == "node dist/index.js"
    assert found.daemon.command == "python -m runtime daemon"


def test_a_procfile_wins_over_scripts_and_a_dockerfile_comes_last() -> None:
    texts = {
        "Procfile": "web: gunicorn app:wsgi\nclock: python clock.py\n",
        "package.json": _package(start="node x.js", worker="node worker.js"),
        "Dockerfile": 'FROM python:3.12\nCMD ["python", "main.py"]\n',
    }
    found = detect(texts)
    assert found.web.command == "gunicorn app:wsgi"
    assert found.daemon.command == "python clock.py"
    assert found.worker.command == "node worker.js"
    assert detect({"Dockerfile": texts["Dockerfile"]}).web.command == "python main.py"


def test_scripts_for_development_are_passed_over() -> None:
    found = detect({"package.json": _package(worker__dev="tsx watch worker.ts", dev="vite")})
    assert found.worker.bundled


def test_an_empty_repository_gets_the_bundled_runtime_and_is_told_so() -> None:
    found = detect({})
    assert [start.command for start in (found.web, found.daemon, found.worker)] == [
        "exec python -m runtime web",
        "exec python -m runtime daemon",
        "exec python -m runtime worker",
    ]
    assert found.bundled
    assert "no daemon found" in found.daemon.why
    assert not found.repo_known


@pytest.mark.parametrize(
    "url", ["git@github.com:acme/dating.git", "https://github.com/acme/dating", "https://github.com/acme/dating.git/"]
)
def test_repository_and_branch_are_read_from_git(url: str) -> None:
    found = detect({".git/config": f'[remote "origin"]\n\turl = {url}\n', ".git/HEAD": "ref: refs/heads/release/1\n"})
    assert (found.repo, found.branch, found.repo_known) == ("acme/dating", "release/1", True)


def test_names_of_secrets_are_found_and_their_values_are_not() -> None:
    text = "JWT_SECRET=hunter2\nSTRIPE_API_KEY=x\nNEXT_PUBLIC_TOKEN=1\nRAILWAY_TOKEN=2\nPORT=3\nJWT_SECRET=again\n"
    found = detect({".env": text})
    assert found.secrets == ("JWT_SECRET", "STRIPE_API_KEY")
    assert "hunter2" not in repr(found)


@given(st.dictionaries(st.sampled_from(READ), st.text(max_size=200)))
def test_no_file_is_too_strange_to_be_looked_at(texts: dict[str, str]) -> None:
    assert detect(texts).web.command
