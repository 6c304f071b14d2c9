"""The project's own choice of rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploykit.commands.lint import Options, lint
from deploykit.errors import ConfigurationError, UsageError
from deploykit.findings import Severity
from deploykit.rules import CATALOGUE, expand, matches
from deploykit.rules._rule import PROFILE
from tests.deploykit.rules.linting import TODAY, write

BAD = PROFILE.replace("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: 3600")


def findings(folder: Path, settings: str, name: str = "deploykit.toml") -> list[tuple[str, Severity]]:
    write(folder, {"profiles/example.yaml": BAD, name: settings})
    found = lint(folder, (), Options(today=TODAY)).outcome.findings
    return [(finding.code, finding.severity) for finding in found]


def test_without_settings_every_rule_counts(tmp_path: Path) -> None:
    assert findings(tmp_path, "") == [("DK201", Severity.ERROR)]


@pytest.mark.parametrize("settings", ['ignore = ["DK201"]', 'ignore = ["DK2"]', 'select = ["DK1"]'])
def test_a_rule_can_be_left_out(settings: str, tmp_path: Path) -> None:
    assert findings(tmp_path, settings) == []


def test_a_rule_can_weigh_less(tmp_path: Path) -> None:
    assert findings(tmp_path, '[severity]\nDK201 = "warning"') == [("DK201", Severity.WARNING)]


@pytest.mark.parametrize("glob", ["profiles/*.yaml", "example.yaml", "profiles/", "**/example.yaml"])
def test_a_rule_can_be_left_out_in_some_files(glob: str, tmp_path: Path) -> None:
    assert findings(tmp_path, f'[per-file-ignores]\n"{glob}" = ["DK201"]') == []


def test_pyproject_may_hold_the_settings(tmp_path: Path) -> None:
    assert findings(tmp_path, '[tool.deploykit]\nignore = ["DK201"]', "pyproject.toml") == []


def test_files_can_be_excluded(tmp_path: Path) -> None:
    assert findings(tmp_path, 'exclude = ["profiles/**"]') == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('ignor = ["DK201"]', "unknown setting 'ignor'"),
        ('ignore = ["DK999"]', "unknown rule 'DK999'"),
        ('ignore = "DK201"', "ignore should be a list"),
        ('severity = {DK201 = "fatal"}', "severity of DK201"),
        ("ignore = [", "no TOML"),
        ("severity = 3", "severity should be a table"),
    ],
)
def test_wrong_settings_are_refused(settings: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=said):
        findings(tmp_path, settings)


def test_an_unknown_code_says_which_one_was_meant() -> None:
    with pytest.raises(UsageError) as error:
        expand(["DK1O1"])
    assert error.value.hint
    assert "DK1" in error.value.hint


def test_names_families_and_lists_of_codes_can_be_given() -> None:
    assert expand(["DK101,DK102"]) == {"DK101", "DK102"}
    assert expand(["DK2"]) == {code for code in CATALOGUE if code.startswith("DK2")}
    assert expand([CATALOGUE["DK101"].name]) == {"DK101"}
    assert expand(["ALL"]) == set(CATALOGUE)


@pytest.mark.parametrize(
    ("path", "glob", "fits"),
    [
        ("profiles/a.yaml", "*.yaml", True),
        ("profiles/a.yaml", "profiles/*", True),
        ("profiles/deep/a.yaml", "profiles/*", False),
        ("profiles/deep/a.yaml", "profiles/**", True),
        ("a/b/out/x.env", "**/out/*", True),
        ("out/x.env", "**/out/*", True),
        ("about/x.env", "out/*", False),
    ],
)
def test_globs(path: str, glob: str, fits: bool) -> None:
    assert matches(path, glob) is fits
