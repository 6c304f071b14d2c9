from __future__ import annotations

import re

import pytest

from runtime import queries

FILES = ("jobs", "schedules", "heartbeats", "lease", "server", "apply_lock")


def _names(dialect: str, file: str) -> set[str]:
    text = (queries.FOLDER / dialect / f"{file}.sql").read_text(encoding="utf-8")
    return set(re.findall(r"^-- :name (\w+)$", text, re.MULTILINE))


def _parameters(sql: str) -> set[str]:
    return {one or other for one, other in re.findall(r"%\((\w+)\)s|(?<![:\w]):([a-z_]\w*)", sql)}


@pytest.mark.parametrize("file", FILES)
def test_both_dialects_know_the_same_queries(file: str) -> None:
    only_mysql = {"beat_and_renew"} if file == "heartbeats" else set()
    assert _names("mysql", file) - only_mysql == _names("sqlite", file)


@pytest.mark.parametrize("file", FILES)
def test_a_query_takes_the_same_parameters_in_both_dialects(file: str) -> None:
    for name in sorted(_names("sqlite", file)):
        mysql, sqlite = (_parameters(queries.find(dialect, f"{file}.{name}")) for dialect in ("mysql", "sqlite"))
        assert mysql == sqlite, name


def test_comments_do_not_travel_to_the_server() -> None:
    assert "--" not in queries.find("mysql", "jobs.claimable")


def test_an_unknown_query_is_an_error() -> None:
    with pytest.raises(KeyError):
        queries.find("mysql", "jobs.nonsense")


def test_a_script_falls_apart_into_its_statements() -> None:
    assert queries.statements("-- why\nCREATE TABLE a (x INT DEFAULT (1)\n);\n\nINSERT INTO a VALUES (1);\n") == [
        "CREATE TABLE a (x INT DEFAULT (1)\n)",
        "INSERT INTO a VALUES (1)",
    ]
