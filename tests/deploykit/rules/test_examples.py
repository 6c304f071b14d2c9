"""Every rule proves itself on its own examples; its manual page shows nothing that is not tested here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploykit.commands.lint import Options, lint
from deploykit.findings import Finding
from deploykit.rules import CATALOGUE, Rule
from deploykit.rules._rule import Example
from tests.deploykit.rules.linting import TODAY, findings_in, lint_texts

OFFLINE = [rule for code, rule in sorted(CATALOGUE.items()) if not rule.skipped]
BAD = [
    pytest.param(rule.code, example, id=f"{rule.code}-bad-{number}")
    for rule in OFFLINE
    for number, example in enumerate(rule.bad)
]
GOOD = [
    pytest.param(rule.code, example, id=f"{rule.code}-good-{number}")
    for rule in OFFLINE
    for number, example in enumerate(rule.good)
]


@pytest.mark.parametrize(("code", "example"), BAD)
def test_a_bad_example_is_found_exactly_where_it_is_marked(code: str, example: Example, tmp_path: Path) -> None:
    found = [finding for finding in findings_in(tmp_path, example.texts()) if finding.code == code]
    assert sorted(finding.place for finding in found) == sorted(example.places())


@pytest.mark.parametrize(("code", "example"), BAD)
def test_a_finding_says_what_to_do_and_ends_after_it_begins(code: str, example: Example, tmp_path: Path) -> None:
    texts = example.texts()
    for finding in findings_in(tmp_path, texts):
        place = finding.place
        assert finding.message
        assert finding.hint
        assert (place.line, place.column) <= (place.end_line, place.end_column)
        assert place.line <= texts[place.path].count("\n") + 1
        assert all(each.message for each in finding.related)


@pytest.mark.parametrize(("code", "example"), GOOD)
def test_a_good_example_is_clean(code: str, example: Example, tmp_path: Path) -> None:
    found = findings_in(tmp_path, example.texts())
    assert [finding for finding in found if finding.code == code] == []


FIXABLE = [param for param in BAD if CATALOGUE[str(param.values[0])].fixable]


@pytest.mark.parametrize(("code", "example"), FIXABLE)
def test_a_fix_removes_its_finding_and_adds_none(code: str, example: Example, tmp_path: Path) -> None:
    before = findings_in(tmp_path, example.texts())
    # Whether a suppression is of use shows only when the rule that it names is looked for.
    mending = Options(fix=True, unsafe_fixes=True, select=("ALL",) if code == "DK007" else (code,), today=TODAY)
    mended = lint(tmp_path, (), mending)
    had_fix = {finding.place for finding in before if finding.code == code and finding.fix}
    left = [finding for finding in mended.outcome.findings if finding.fix and finding.code == code]
    assert not left, "a fix is offered again after it was made"
    assert not had_fix or mended.changed
    after = lint(tmp_path, (), Options(today=TODAY)).outcome.findings
    known = [_offence(finding) for finding in before]
    assert [finding for finding in after if _offence(finding) not in known] == []
    assert lint(tmp_path, (), mending).changed == []


def _offence(finding: Finding) -> tuple[str, str | None, str | None]:
    return finding.code, finding.service, finding.variable


@pytest.mark.parametrize(("code", "example"), FIXABLE)
def test_a_rule_that_promises_a_fix_has_one_that_keeps_its_promise(code: str, example: Example, tmp_path: Path) -> None:
    for finding in lint_texts(tmp_path, example.texts()).outcome.findings:
        if finding.code == code and finding.fix and CATALOGUE[code].fixable == "unsafe":
            assert not finding.fix.safe


@pytest.mark.parametrize("rule", [rule for rule in OFFLINE if rule.fixable], ids=lambda rule: rule.code)
def test_a_rule_with_a_fix_shows_it_in_an_example(rule: Rule, tmp_path: Path) -> None:
    examples = rule.bad
    fixes = [
        finding.fix
        for number, example in enumerate(examples)
        for finding in findings_in(tmp_path / str(number), example.texts())
        if finding.code == rule.code and finding.fix
    ]
    assert fixes


@pytest.mark.parametrize("rule", list(CATALOGUE.values()), ids=lambda rule: rule.code)
def test_a_rule_explains_itself(rule: Rule) -> None:
    assert re.fullmatch(r"DK[0-9]{3}", rule.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    assert len(rule.why) > 20
    assert rule.title
    assert rule.skipped or rule.bad


def test_names_are_unique() -> None:
    names = [rule.name for rule in CATALOGUE.values()]
    assert len(set(names)) == len(names)
