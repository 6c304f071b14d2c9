"""A fix says what was meant, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploykit.commands.lint import Options
from tests.corpus.configurations import DAEMON, PATH, WEB, from_image, python, started, typescript, whole
from tests.deploykit.rules.linting import TODAY, lint_texts


def mended(folder: Path, path: str, text: str, *, unsafe: bool = False) -> str:
    """A file after its fixes."""
    return lint_texts(folder, {path: text}, Options(fix=True, unsafe_fixes=unsafe, today=TODAY)).after[path]


@pytest.mark.parametrize("wrong", ["True", "1", '"True"', '"""true """'])
def test_a_flag_in_python_becomes_a_text(wrong: str, tmp_path: Path) -> None:
    path, text = next(iter(python().items()))
    flagged = text.replace('WORKER": "true"', f'WORKER": {wrong}')
    assert mended(tmp_path, path, flagged) == text


def test_a_stray_blank_in_the_right_word_is_said_once(tmp_path: Path) -> None:
    found = lint_texts(
        tmp_path, {"web.env": 'SCHEDULE_DAEMON_ENABLED=false\nNODE_ENV="production "\n'}
    ).outcome.findings
    assert [finding.code for finding in found] == ["DK402"]


_SCRIPTS = '{"scripts": {"jobs": "node dist/worker.js"}}\n'


@pytest.mark.parametrize(
    ("start", "written"),
    [
        ("npm run jobs", "exec node dist/worker.js"),
        ("exec npm run jobs", "exec node dist/worker.js"),
        ("NODE_ENV=production npm run jobs", "NODE_ENV=production exec node dist/worker.js"),
        ("npm --prefix backend run jobs", "cd backend && exec node dist/worker.js"),
        ("pnpm -C backend jobs", "cd backend && exec node dist/worker.js"),
        ("tini -- npm run jobs", "tini -- node dist/worker.js"),
        ("cross-env NODE_ENV=production npm run jobs", "cross-env NODE_ENV=production node dist/worker.js"),
        ("npm run jobs -- --queue mail", "npm run jobs -- --queue mail"),
        ("pnpm jobs --concurrency 5", "pnpm jobs --concurrency 5"),
    ],
)
def test_a_package_manager_gives_way_to_what_it_starts(start: str, written: str, tmp_path: Path) -> None:
    texts = {**started(worker=start, package=_SCRIPTS), "backend/package.json": _SCRIPTS}
    after = lint_texts(tmp_path, texts, Options(fix=True, today=TODAY)).after[PATH]
    assert after == texts[PATH].replace(f"'{start}'", f"'{written}'")


def test_behind_a_dockerfile_there_is_no_exec(tmp_path: Path) -> None:
    texts = started(worker="npm run jobs", package=_SCRIPTS, dockerfile='FROM node:22\nCMD ["node", "x.js"]\n')
    after = lint_texts(tmp_path, texts, Options(fix=True, today=TODAY)).after[PATH]
    assert after == texts[PATH].replace("'npm run jobs'", "'node dist/worker.js'")


@pytest.mark.parametrize(
    ("start", "written"),
    [
        ("cd app && node index.js", "''/bin/sh -c \"cd app && exec node index.js\"''"),
        ("PORT=80 node index.js", "''/bin/sh -c \"PORT=80 exec node index.js\"''"),
        ("node a.js & node b.js", "'node a.js & node b.js'"),
    ],
)
def test_a_command_in_an_image_gets_its_shell(start: str, written: str, tmp_path: Path) -> None:
    texts = from_image(started(start))
    after = lint_texts(tmp_path, texts, Options(fix=True, today=TODAY)).after[PATH]
    assert after == texts[PATH].replace(f"'{start}'", written.replace("''", "'"))


@pytest.mark.parametrize("empty", ["null", "~", ""])
def test_an_empty_flag_is_filled_where_it_stands(empty: str, tmp_path: Path) -> None:
    text = whole(WEB, DAEMON)
    unset = text.replace("DAEMON_ENABLED: false", f"DAEMON_ENABLED: {empty}".rstrip())
    assert mended(tmp_path, PATH, unset) == text


def test_a_postgres_address_becomes_a_reference_of_its_own_kind(tmp_path: Path) -> None:
    text = whole(WEB, DAEMON).replace("MySQL.MYSQL_URL", "Postgres.DATABASE_URL").replace("MySQL}", "Postgres}")
    literal = text.replace("${{Postgres.DATABASE_URL}}", "postgres://app@db.acme.dev/app")
    assert mended(tmp_path, PATH, literal, unsafe=True) == text
    missing = text.replace("      DATABASE_URL: ${{Postgres.DATABASE_URL}}\n", "")
    hints = {finding.hint for finding in lint_texts(tmp_path, {PATH: missing}).outcome.findings}
    assert hints == {"add `DATABASE_URL: ${{Postgres.DATABASE_URL}}`"}


@pytest.mark.parametrize("wrong", ["30s", "-5"])
def test_what_is_no_number_of_seconds_is_said_once(wrong: str, tmp_path: Path) -> None:
    text = whole(WEB, DAEMON).replace("draining_seconds: 30", f"draining_seconds: {wrong}", 1)
    assert [finding.code for finding in lint_texts(tmp_path, {PATH: text}).outcome.findings] == ["DK004"]


def test_a_web_server_that_schedules_keeps_its_worker(tmp_path: Path) -> None:
    text = "SCHEDULE_DAEMON_ENABLED=true\nEMBEDDED_JOB_WORKER=true\n"
    (found,) = lint_texts(tmp_path, {"web.env": text}).outcome.findings
    assert found.code == "DK106"
    assert found.hint.startswith('set SCHEDULE_DAEMON_ENABLED to "false"')
    assert mended(tmp_path, "web.env", text) == text


def test_a_cure_speaks_the_language_of_its_file(tmp_path: Path) -> None:
    config = '[deploy]\nstartCommand = "node worker.js"\nrestartPolicyType = "NEVER"\nsleepApplication = true\n'
    texts = {**typescript((", drainingSeconds: 30", "")), "worker/railway.toml": config}
    hints = {finding.code: finding.hint for finding in lint_texts(tmp_path, texts).outcome.findings}
    assert hints["DK306"] == "use `ALWAYS`, or leave the policy out (on failure, ten times)"
    assert hints["DK305"] == "remove `sleepApplication`"
    assert hints["DK308"] == "set drainingSeconds to 30"


def test_a_misspelt_setting_is_renamed_and_not_added_too(tmp_path: Path) -> None:
    text = whole(WEB, DAEMON)
    assert mended(tmp_path, PATH, text.replace("draining_seconds", "drainin_seconds"), unsafe=True) == text
    assert mended(tmp_path, PATH, text.replace("healthcheck", "healtcheck"), unsafe=True) == text


def test_a_misspelt_flag_is_renamed_and_not_added_too(tmp_path: Path) -> None:
    text = whole(WEB, DAEMON)
    wrong = text.replace("SCHEDULE_DAEMON_ENABLED: false", "SCHEDULE_DEAMON_ENABLED: false")
    assert mended(tmp_path, PATH, wrong, unsafe=True) == text


@pytest.mark.parametrize(
    "wrong",
    ["SCHEDULE_POLL_INTERVAL: 3600", "SCHEDULE_POL_INTERVAL_MS: 900000\n      SCHEDULE_POLL_INTERVL_MS: 3600000"],
)
def test_a_name_is_not_mended_where_that_would_change_more(wrong: str, tmp_path: Path) -> None:
    text = whole(WEB, DAEMON).replace("SCHEDULE_POLL_INTERVAL_MS: 3600000", wrong)
    assert mended(tmp_path, PATH, text) == text
