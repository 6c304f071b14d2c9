"""Every artefact of a profile, from one function."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dotenv
import pytest
import yaml as pyyaml
from hypothesis import HealthCheck, given, settings

from deploykit.errors import ConfigurationError
from deploykit.planning.graph import deploy
from deploykit.profile.rendered import fingerprint, read_header
from deploykit.profile.schema import Profile
from deploykit.rendering.render import render
from deploykit.sources import dotenv as our_dotenv
from tests.deploykit.rendering.profiles import REAL, REPOSITORY, profiles, real

PRE_LAUNCH = REPOSITORY / "profiles" / "pre-launch.yaml"

any_profile = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def _profile(**service: Any) -> Profile:
    return Profile.model_validate({"version": 1, "name": "p", "services": {"web": {"role": "web", **service}}})


def test_a_profile_has_every_artefact_of_the_contract() -> None:
    assert sorted(render(real(PRE_LAUNCH))) == [
        ".railway/railway.py",
        ".railway/railway.ts",
        "RUNBOOK.md",
        "compose.yaml",
        "process-map.mmd",
        "process-map.svg",
        "railway.toml",
        "schedule-daemon/railway.toml",
        "schedule-daemon/variables.env",
        "web-server/railway.toml",
        "web-server/variables.env",
    ]


@pytest.mark.parametrize("path", REAL, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_every_artefact_says_from_which_profile_it_came_and_that_nobody_edited_it(path: Path) -> None:
    profile = real(path)
    for name, text in render(profile).items():
        header = read_header(text)
        assert header is not None, name
        assert header.source == f"profiles/{profile.name}.yaml"
        assert header.profile_digest == fingerprint(profile)
        assert not header.edited
        assert text.endswith("\n")


@any_profile
@given(profiles())
def test_the_same_profile_gives_the_same_bytes(profile: Profile) -> None:
    again = Profile.model_validate(profile.model_dump())
    assert render(again) == render(profile)


@any_profile
@given(profiles())
def test_settings_and_variables_of_every_service_can_be_read_back(profile: Profile) -> None:
    files = render(profile)
    for service in profile.services.values():
        if service.role == "database":
            assert f"{service.name}/railway.toml" not in files
            continue
        plain = {name: value for name, value in service.env.items() if isinstance(value, str)}
        settings_of = {name: value for name, value in deploy(service).items() if name != "limitOverride"}
        text = files[f"{service.name}/variables.env"]
        assert tomllib.loads(files[f"{service.name}/railway.toml"]) == {"deploy": settings_of}
        assert dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False) == plain
        assert {found.key for found in our_dotenv.parse("x.env", text).assignments} == set(plain)


@any_profile
@given(profiles())
def test_every_artefact_can_be_read_by_its_own_reader(profile: Profile) -> None:
    files = render(profile)
    ElementTree.fromstring(files["process-map.svg"])
    assert set(pyyaml.safe_load(files["compose.yaml"])) <= {"name", "services", "volumes"}
    assert all(line.isprintable() for line in files["process-map.mmd"].split("\n"))
    assert files["RUNBOOK.md"].startswith("<!-- rendered by deploykit from ")


def test_the_railway_toml_at_the_top_starts_nothing() -> None:
    # Railway reads it for every service of the repository: a start command in it would start a second web server.
    common = tomllib.loads(render(real(PRE_LAUNCH))["railway.toml"])
    assert common == {"deploy": {"drainingSeconds": 30}}


def test_a_secret_is_named_and_never_written() -> None:
    files = render(_profile(start="x", env={"JWT_SECRET": {"operator_variable": "MY_JWT"}}))
    assert "JWT_SECRET" in files["web/variables.env"]
    assert "JWT_SECRET=" not in files["web/variables.env"]
    assert '"JWT_SECRET": preserve()' in files[".railway/railway.py"]
    assert "JWT_SECRET: preserve()" in files[".railway/railway.ts"]
    assert '"JWT_SECRET": "${MY_JWT:?put it into .env}"' in files["compose.yaml"]
    assert "has the secret `JWT_SECRET` in Railway" in files["RUNBOOK.md"]


def test_a_reference_to_a_service_further_down_goes_by_its_address() -> None:
    services = {
        "a": {"role": "web", "env": {"OTHER": "${{b.RAILWAY_PRIVATE_DOMAIN}}"}},
        "b": {"role": "worker", "env": {"OTHER": "${{a.RAILWAY_PRIVATE_DOMAIN}}"}},
    }
    text = render(Profile.model_validate({"version": 1, "name": "p", "services": services}))[".railway/railway.py"]
    assert 'ref({"address": "service.b"}, "RAILWAY_PRIVATE_DOMAIN")' in text
    assert 'ref(a, "RAILWAY_PRIVATE_DOMAIN")' in text


@pytest.mark.parametrize("value", ["a\0b", "a\ud800b"])
def test_text_that_no_file_can_hold_is_refused(value: str) -> None:
    profile = _profile(env={"X": "fine"}).model_copy(update={"description": value})
    with pytest.raises(ConfigurationError, match="DK006 description holds a character") as caught:
        render(profile)
    assert caught.value.hint


def test_services_whose_names_want_the_same_folder_are_refused() -> None:
    services = {"Web": {"role": "web"}, "web": {"role": "other"}}
    with pytest.raises(ConfigurationError, match="'web' needs a folder") as caught:
        render(Profile.model_validate({"version": 1, "name": "p", "services": services}))
    assert caught.value.hint == "give the service another name"


def test_an_undefined_name_in_a_template_is_an_error_with_its_place_and_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "variables.env.j2").write_text("# {{ header }}\n{{ service.relpicas }}\n", "utf-8")
    with pytest.raises(ConfigurationError, match=r"DK006 .*no attribute 'relpicas'") as caught:
        render(_profile(), overrides=tmp_path)
    assert caught.value.where == "variables.env.j2:2"
    assert caught.value.hint == "did you mean 'replicas'?"


def test_a_template_that_does_not_parse_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "railway.toml.j2").write_text("\n{% if %}\n", "utf-8")
    with pytest.raises(ConfigurationError, match="DK006 the template does not parse") as caught:
        render(_profile(), overrides=tmp_path)
    assert caught.value.where == "railway.toml.j2:2"


def test_a_text_that_its_format_cannot_read_is_not_rendered(tmp_path: Path) -> None:
    (tmp_path / "railway.toml.j2").write_text("# {{ header }}\n[deploy\n", "utf-8")
    with pytest.raises(ConfigurationError, match="DK006 the rendered text is not valid") as caught:
        render(_profile(), overrides=tmp_path)
    assert caught.value.where == "railway.toml"


def test_a_template_reaches_nothing_outside_its_values(tmp_path: Path) -> None:
    (tmp_path / "railway.toml.j2").write_text("{{ profile.__class__.__init__.__globals__ }}", "utf-8")
    with pytest.raises(ConfigurationError, match="DK006"):
        render(_profile(), overrides=tmp_path)


def test_the_runbook_holds_the_checklist_log_lines_queries_and_fixes_of_this_profile() -> None:
    runbook = render(real(PRE_LAUNCH))["RUNBOOK.md"]
    for line in (
        "- [ ] `web-server` has `EMBEDDED_JOB_WORKER=true`",
        "- [ ] `web-server` has `SCHEDULE_DAEMON_ENABLED=false` (critical: no ghost)",
        "- [ ] `schedule-daemon` has `SCHEDULE_POLL_INTERVAL_MS=3600000`",
        "- [ ] The log of `web-server` shows `Starting embedded job worker`",
        "- [ ] The log of `schedule-daemon` shows `Polling every 3600s`",
        "-- schedule_daemon | 1",
        "-- job_worker      | 1",
        "railway logs --service schedule-daemon | grep Starting",
        "railway restart --service web-server",
        "### Too many database connections",
    ):
        assert line in runbook.split("\n"), line


def test_the_runbook_of_a_profile_without_database_daemon_and_worker_promises_none() -> None:
    profile = _profile(start="serve").model_copy(update={"expect": Profile.model_fields["expect"].default})
    runbook = render(profile)["RUNBOOK.md"]
    assert "SELECT" not in runbook
    assert "### Jobs are not processed" not in runbook
    assert "### Schedules do not trigger" not in runbook


def test_the_process_map_draws_each_process_in_its_service() -> None:
    files = render(real(PRE_LAUNCH))
    kinds = [element.get("class") for element in ElementTree.fromstring(files["process-map.svg"]).iter()]
    assert kinds.count("service") == 2
    assert kinds.count("job_worker") == kinds.count("schedule_daemon") == kinds.count("database") == 1
    assert "s2p1 -->" in files["process-map.mmd"]
    assert "d1 -->|" in files["process-map.mmd"]
