"""Documents that come from the code are fresh, and say what the command line says."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from deploykit.commands.docs import documents, stale
from deploykit.commands.explain import everything, explain, explained
from deploykit.commands.schema import schema
from deploykit.errors import UsageError
from deploykit.report.diagnostic import Style
from deploykit.report.explain import anchor, text
from deploykit.rules import Rule

ROOT = Path(__file__).resolve().parents[3]


def test_generated_documents_are_fresh() -> None:
    assert stale(ROOT) == [], "run: python -m deploykit.commands.docs"


def test_every_rule_has_its_section() -> None:
    page = documents()["docs/rules.md"]
    for rule in everything():
        assert f"### {rule.code} {rule.name}\n" in page
        assert f"(#{anchor(explained(rule))})" in page


@pytest.mark.parametrize("rule", everything(), ids=lambda rule: rule.code)
def test_an_explanation_has_why_and_examples_in_80_columns(rule: Rule) -> None:
    said = text(explained(rule), Style(False))
    prose = [line for line in said.splitlines() if not line.startswith("    ")]
    assert max(map(len, prose)) <= 80
    assert rule.skipped or "Wrong:" in said


def test_a_misspelt_rule_says_which_one_was_meant() -> None:
    with pytest.raises(UsageError) as error:
        explain(["two-scheduler"])
    assert "two-schedulers" in (error.value.hint or "")


class _Loader(yaml.SafeLoader):
    """Reads ``!secret`` as a text, as an editor does."""


_Loader.add_constructor("!secret", lambda loader, node: "secret")


@pytest.mark.parametrize(
    "path", [*ROOT.glob("profiles/*.yaml"), *ROOT.glob("examples/*/profiles/*.yaml")], ids=lambda path: path.stem
)
def test_the_schema_accepts_our_own_profiles(path: Path) -> None:
    jsonschema.Draft202012Validator(schema()).validate(yaml.load(path.read_text("utf-8"), _Loader))


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2, "name": "x", "services": {"w": {"role": "web"}}},
        {"version": 1, "name": "x"},
        {"version": 1, "name": "x", "services": {"w": {"role": "webb"}}},
        {"version": 1, "name": "x", "services": {"w": {"role": "web", "drainig_seconds": 3}}},
        {"version": 1, "name": "x", "services": {"w": {"role": "web", "env": {"A-B": "x"}}}},
    ],
)
def test_the_schema_refuses_what_lint_refuses(wrong: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate(wrong)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads(documents()["docs/profile.schema.json"]) == schema()
