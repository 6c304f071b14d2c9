"""Reference resolution."""

from __future__ import annotations

from deploykit.sandbox.variables import referenced_services, render

VALUES = {
    ("MySQL", "URL"): "mysql://${{HOST}}:3306",
    ("MySQL", "HOST"): "db",
    ("shared", "DSN"): "dsn",
    ("a.b c", "X"): "dotted",
    ("web", "LOOP"): "<${{LOOP}}>",
    ("web", "OWN"): "own",
}


def rendered(value: str) -> str:
    return render(value, "web", lambda scope, name: VALUES.get((scope, name)))


def test_references_to_other_services_shared_and_own_variables() -> None:
    assert rendered("${{MySQL.URL}}/x ${{ shared.DSN }} ${{OWN}}") == "mysql://db:3306/x dsn own"


def test_a_service_name_may_hold_dots_and_spaces() -> None:
    assert rendered("${{a.b c.X}}") == "dotted"


def test_what_cannot_be_resolved_renders_as_nothing() -> None:
    assert rendered("[${{Nobody.X}}${{MISSING}}]") == "[]"


def test_a_circle_ends() -> None:
    assert rendered("${{LOOP}}") == "<>"


def test_the_services_that_values_refer_to() -> None:
    values = {"A": "${{MySQL.URL}}", "B": "${{shared.X}} ${{web.Y}} ${{Z}}", "C": "plain"}
    assert referenced_services(values, "web") == {"MySQL"}
