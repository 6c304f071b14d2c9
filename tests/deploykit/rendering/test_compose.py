"""The compose file: the same processes on one machine."""

from __future__ import annotations

from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import HealthCheck, given, settings

from deploykit.profile.schema import Profile
from deploykit.rendering.compose import PASSWORD, compose
from deploykit.rendering.render import render
from tests.deploykit.rendering.profiles import REPOSITORY, profiles, real


def _written(services: dict[str, Any], **profile: Any) -> dict[str, Any]:
    wanted = Profile.model_validate({"version": 1, "name": "p", "services": services, **profile})
    written: dict[str, Any] = pyyaml.safe_load(render(wanted)["compose.yaml"])["services"]
    return written


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(profiles())
def test_a_value_without_references_reaches_the_process_as_it_stands(profile: Profile) -> None:
    written = pyyaml.safe_load(render(profile)["compose.yaml"])["services"]
    by_title = {container.name: container for container in compose(profile).containers}
    assert set(written) == set(by_title)
    values = [value for container in written.values() for value in container.get("environment", {}).values()]
    for service in profile.services.values():
        plain = [value for value in service.env.values() if isinstance(value, str) and "${{" not in value]
        if service.role != "database":
            assert all(value.replace("$", "$$") in values for value in plain)


def test_what_railway_fills_in_is_filled_in() -> None:
    env = {
        "URL": "${{MySQL.MYSQL_URL}}",
        "PARTS": "x://${{MySQL.MYSQLHOST}}:${{MySQL.MYSQLPORT}}/$y",
        "OWN": "${{URL}}",
        "PEER": "http://${{api.RAILWAY_PRIVATE_DOMAIN}}:${{api.PORT}}",
        "CHAIN": "${{api.NAME}}",
        "FOREIGN": "${{shared.SENTRY_DSN}}",
    }
    services = {"web": {"role": "web", "env": env}, "api": {"role": "web", "env": {"NAME": "the api"}}}
    web = _written(services, database={"service": "MySQL"})["web"]["environment"]
    url = f"mysql://root:{PASSWORD}@mysql:3306/railway"
    assert web["URL"] == url
    assert web["PARTS"] == "x://mysql:3306/$$y"
    assert web["OWN"] == url
    assert web["PEER"] == "http://api:8080"
    assert web["CHAIN"] == "the api"
    assert web["FOREIGN"] == "${SENTRY_DSN:?put it into .env}"


def test_a_circle_of_references_ends_in_a_question_not_in_a_loop() -> None:
    services = {"a": {"role": "web", "env": {"X": "${{b.X}}"}}, "b": {"role": "web", "env": {"X": "${{a.X}}"}}}
    assert _written(services)["a"]["environment"]["X"] == "${X:?put it into .env}"


def test_processes_end_and_restart_as_on_railway() -> None:
    services = {
        "web": {"role": "web", "draining_seconds": 30, "limits": {"memory_mb": 256, "vcpu": 0.5}},
        "daemon": {"role": "daemon", "restart": {"policy": "always"}},
        "once": {"role": "other", "restart": {"policy": "never"}, "cron": "0 3 * * *"},
    }
    written = _written(services)
    assert written["web"]["stop_grace_period"] == "30s"
    assert written["web"]["restart"] == "on-failure:10"
    assert written["web"]["deploy"]["resources"]["limits"] == {"cpus": "0.5", "memory": "256000000"}
    assert written["daemon"]["stop_grace_period"] == "0s"
    assert written["daemon"]["restart"] == "always"
    assert written["once"]["restart"] == "no"
    assert written["once"]["profiles"] == ["cron"]


def test_an_image_meets_no_shell_and_source_code_does() -> None:
    services = {
        "built": {"role": "web", "source": {"repo": "o/n", "root": "/app/"}, "start": "cd x && echo $PORT"},
        "image": {"role": "worker", "source": {"image": "redis:8"}, "start": "redis-server --save '' $X"},
    }
    written = _written(services)
    assert written["built"]["command"] == ["/bin/sh", "-c", "cd x && echo $$PORT"]
    assert written["built"]["build"] == {"context": "./app"}
    assert written["image"]["entrypoint"] == ["redis-server", "--save", "", "$$X"]
    assert written["image"]["image"] == "redis:8"


def test_a_pre_deploy_command_runs_to_its_end_first() -> None:
    written = _written({"web": {"role": "web", "start": "serve", "pre_deploy": "migrate"}})
    assert written["web-pre-deploy"]["command"] == ["/bin/sh", "-c", "migrate"]
    assert written["web"]["depends_on"] == {"web-pre-deploy": {"condition": "service_completed_successfully"}}


def test_no_two_containers_share_a_name() -> None:
    services = {"a b": {"role": "web", "pre_deploy": "x"}, "a-b": {"role": "web"}, "a-b-pre-deploy": {"role": "other"}}
    assert list(_written(services)) == ["a-b-pre-deploy-2", "a-b", "a-b-2", "a-b-pre-deploy"]


@pytest.mark.parametrize(("replicas", "ports"), [(1, ["127.0.0.1:8080:8080"]), (3, ["127.0.0.1::8080"])])
def test_several_replicas_do_not_fight_for_one_port(replicas: int, ports: list[str]) -> None:
    assert _written({"web": {"role": "web", "replicas": replicas}})["web"]["ports"] == ports


def test_the_bundled_profiles_start_the_bundled_runtime_beside_a_database() -> None:
    file = compose(real(REPOSITORY / "profiles" / "pre-launch.yaml"))
    assert [container.name for container in file.containers] == ["mysql", "web-server", "schedule-daemon"]
    assert file.asks_for == ("MYSQL_ROOT_PASSWORD",)
    assert "pip install" in file.containers[1].settings["build"]["dockerfile_inline"]
