"""Suppressions hide what they name on their line, and are found when they are of no use."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploykit.commands.lint import Linted, Options, lint
from deploykit.rules._rule import PROFILE
from tests.deploykit.rules.linting import TODAY, findings_in, lint_texts

PATH = "profiles/example.yaml"
SECONDS = "SCHEDULE_POLL_INTERVAL_MS: 3600"


def profile(line: str, old: str = "SCHEDULE_POLL_INTERVAL_MS: 3600000") -> dict[str, str]:
    return {PATH: PROFILE.replace(old, line)}


def codes(linted: Linted) -> list[str]:
    return [finding.code for finding in linted.outcome.findings]


def test_a_suppression_with_a_reason_hides_what_stands_on_its_line(tmp_path: Path) -> None:
    linted = lint_texts(tmp_path, profile(f"{SECONDS} # deploykit: ignore[DK201] a load test"))
    assert codes(linted) == []
    assert [finding.code for finding in linted.outcome.hidden] == ["DK201"]


def test_a_suppression_alone_on_a_line_counts_for_the_next_line(tmp_path: Path) -> None:
    linted = lint_texts(tmp_path, profile(f"# deploykit: ignore[DK201] a load test\n      {SECONDS}"))
    assert codes(linted) == []


def test_a_suppression_two_lines_above_hides_nothing(tmp_path: Path) -> None:
    linted = lint_texts(tmp_path, profile(f"# deploykit: ignore[DK201] a load test\n\n      {SECONDS}"))
    assert sorted(codes(linted)) == ["DK007", "DK201"]


def test_a_suppression_without_a_reason_hides_and_is_itself_a_finding(tmp_path: Path) -> None:
    linted = lint_texts(tmp_path, profile(f"{SECONDS} # deploykit: ignore[DK201]"))
    assert codes(linted) == ["DK007"]
    assert "reason" in linted.outcome.findings[0].message
    assert linted.outcome.findings[0].fix is None


def test_an_unused_code_in_a_list_is_taken_out_and_the_rest_stays(tmp_path: Path) -> None:
    lint_texts(tmp_path, profile(f"{SECONDS} # deploykit: ignore[DK101, DK201] a load test"))
    lint(tmp_path, (), Options(fix=True, today=TODAY))
    assert f"{SECONDS} # deploykit: ignore[DK201] a load test\n" in (tmp_path / PATH).read_text("utf-8")


@pytest.mark.parametrize("comment", ["# deploykit: ignore[DK999] no such rule", "# deploykit: ignore no rule named"])
def test_a_suppression_that_names_no_rule_is_deleted_by_its_fix(comment: str, tmp_path: Path) -> None:
    lint_texts(tmp_path, profile(f"SCHEDULE_POLL_INTERVAL_MS: 3600000 {comment}"))
    mended = lint(tmp_path, (), Options(fix=True, today=TODAY))
    assert (tmp_path / PATH).read_text("utf-8") == PROFILE
    assert codes(mended) == []


def test_a_lone_suppression_goes_with_its_line(tmp_path: Path) -> None:
    lint_texts(tmp_path, profile("# deploykit: ignore[DK101] for nothing\n      SCHEDULE_POLL_INTERVAL_MS: 3600000"))
    lint(tmp_path, (), Options(fix=True, today=TODAY))
    assert (tmp_path / PATH).read_text("utf-8") == PROFILE


def test_a_rule_that_is_switched_off_does_not_make_its_suppressions_useless(tmp_path: Path) -> None:
    texts = profile(f"{SECONDS} # deploykit: ignore[DK201] a load test")
    assert codes(lint_texts(tmp_path, texts, Options(ignore=("DK201",), today=TODAY))) == []


def test_a_suppression_in_a_dotenv_file_counts_for_the_next_line(tmp_path: Path) -> None:
    flags = "SCHEDULE_DAEMON_ENABLED=true\nEMBEDDED_JOB_WORKER=false\n"
    text = f"{flags}# deploykit: ignore[DK201] a test\nSCHEDULE_POLL_INTERVAL_MS=60\n"
    linted = lint_texts(tmp_path, {"schedule-daemon.env": text})
    assert "DK201" not in codes(linted)
    assert "DK007" not in codes(linted)


def test_words_in_a_text_are_no_suppression(tmp_path: Path) -> None:
    texts = profile('SCHEDULE_POLL_INTERVAL_MS: 3600000\n      NOTE: "see#deploykit: ignore[DK999]"')
    assert "DK007" not in codes(lint_texts(tmp_path, texts))


def test_a_suppression_in_the_first_line_counts_for_the_whole_file(tmp_path: Path) -> None:
    text = '# deploykit: ignore[DK701] moves next week\n[deploy]\nstartCommand = "node index.js"\n'
    assert findings_in(tmp_path, {"railway.toml": text}) == []


def test_a_suppression_in_the_second_line_does_not_speak_of_the_whole_file(tmp_path: Path) -> None:
    text = '[deploy]\nstartCommand = "node index.js" # deploykit: ignore[DK701] moves next week\n'
    assert [finding.code for finding in findings_in(tmp_path, {"railway.toml": text})] == ["DK701", "DK007"]
