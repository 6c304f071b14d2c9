from __future__ import annotations

import pytest

from runtime.settings import Settings, SettingsError
from runtime.variables import VARIABLES


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = Settings.from_env({})
    assert settings.job_worker_poll_interval_ms == 5000
    assert settings.schedule_poll_interval_ms == 60_000
    assert settings.heartbeat_interval_ms == 10_000
    assert settings.database_connection_limit == 10
    assert settings.schedule_daemon_enabled is None
    assert settings.embedded_job_worker is False


def test_the_guides_settings_are_understood() -> None:
    settings = Settings.from_env(
        {
            "SCHEDULE_POLL_INTERVAL_MS": "3600000",
            "JOB_WORKER_POLL_INTERVAL_MS": "30000",
            "EMBEDDED_JOB_WORKER": "true",
            "SCHEDULE_DAEMON_ENABLED": "false",
        }
    )
    assert (settings.schedule_poll_interval_ms, settings.job_worker_poll_interval_ms) == (3_600_000, 30_000)
    assert (settings.embedded_job_worker, settings.schedule_daemon_enabled) == (True, False)


@pytest.mark.parametrize("value", ["True", "1", "yes", "TRUE", " true", "on"])
def test_only_true_and_false_are_booleans(value: str) -> None:
    with pytest.raises(SettingsError, match=r"SCHEDULE_DAEMON_ENABLED is .*; write true or false, nothing else"):
        Settings.from_env({"SCHEDULE_DAEMON_ENABLED": value})


@pytest.mark.parametrize("value", ["5s", "5.0", "1e3", "0x10", "5_000", "٣"])
def test_only_whole_numbers_are_numbers(value: str) -> None:
    with pytest.raises(SettingsError, match="write a whole number of ms"):
        Settings.from_env({"JOB_WORKER_POLL_INTERVAL_MS": value})


def test_a_number_out_of_bounds_names_the_bounds() -> None:
    with pytest.raises(SettingsError, match="DATABASE_CONNECTION_LIMIT is 1; write a number from 2 to 1000"):
        Settings.from_env({"DATABASE_CONNECTION_LIMIT": "1"})


def test_an_empty_value_counts_as_missing() -> None:
    assert Settings.from_env({"PORT": "", "RAILWAY_REPLICA_ID": ""}).port == 8080


@pytest.mark.parametrize("env", [{}, {"SCHEDULE_DAEMON_ENABLED": "false"}])
def test_a_daemon_that_is_not_enabled_refuses(env: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="SCHEDULE_DAEMON_ENABLED"):
        Settings.from_env(env).require_daemon_enabled()


@pytest.mark.parametrize(
    "url", ["postgres://u:hunter2@h/d", "mysql://u:hunter2@/d", "mysql://u:hunter2@h", "sqlite://", "hunter2", ""]
)
def test_a_database_url_that_makes_no_sense_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL") as caught:
        Settings.from_env({"DATABASE_URL": url}).require_database_url()
    assert "hunter2" not in str(caught.value)


def test_wake_addresses_are_hosts_with_ports() -> None:
    settings = Settings.from_env({"WAKE_ADDRESSES": "web.railway.internal:8090, [::1]:1"})
    assert settings.wake_addresses == (("web.railway.internal", 8090), ("::1", 1))
    with pytest.raises(SettingsError, match="WAKE_ADDRESSES holds 'web'"):
        Settings.from_env({"WAKE_ADDRESSES": "web"})


def test_each_variable_is_a_field_and_each_field_a_variable() -> None:
    assert {variable.name.lower() for variable in VARIABLES} == set(Settings.__dataclass_fields__)
