"""Starting, attaching, resuming, stopping."""

from __future__ import annotations

import json
import stat
import urllib.request
from pathlib import Path

import pytest

from deploykit.errors import ConfigurationError, DeploykitError
from deploykit.sandbox import Sandbox, database
from tests.sandbox.conftest import FOREVER, Driver


def test_a_fresh_sandbox_has_a_database_that_works(tmp_path: Path) -> None:
    with Sandbox.start(tmp_path / "state", source_dir=tmp_path, database="sqlite") as sandbox:
        assert sandbox.database_url() == sandbox.access["database_url"]
        assert str(sandbox.database_url()).startswith("sqlite:////")
        (service,) = sandbox.status()["services"]
        assert (service["service"], service["latest"]) == ("MySQL", "SUCCESS")
        active = Driver(sandbox).instance(next(iter(Driver(sandbox).config()["services"])))["activeDeployments"]
        assert [one["status"] for one in active[0]["instances"]] == ["RUNNING"]


@pytest.mark.mysql
def test_a_real_server_when_there_is_one(tmp_path: Path) -> None:
    if database.find_server() is None:
        pytest.skip("no mysqld or mariadbd on this machine")
    import pymysql

    with Sandbox.start(tmp_path / "state", source_dir=tmp_path, database="mysql") as sandbox:
        url = urllib.request.urlparse(str(sandbox.database_url()))  # type: ignore[attr-defined]
        with pymysql.connect(host=url.hostname, port=url.port, user=url.username, password=url.password) as connection:
            cursor = connection.cursor()
            cursor.execute("SHOW DATABASES")
            assert "railway" in {row[0] for row in cursor.fetchall()}
        (process,) = sandbox.processes("MySQL")
    assert not Path(f"/proc/{process['pid']}").exists()


def test_mysql_without_a_server_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYKIT_MYSQLD", "/nowhere/mysqld")
    assert database.choose("auto") is None
    with pytest.raises(ConfigurationError, match="no MySQL or MariaDB server") as caught:
        database.choose("mysql")
    assert "--database sqlite" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("image", "is_one"),
    [
        ("mysql:9", True),
        ("library/mysql", True),
        ("mariadb:11", True),
        ("registry.example:5000/mysql:8.4@sha256:abc", True),
        ("prom/mysqld-exporter", False),
        ("postgres:18", False),
        (None, False),
    ],
)
def test_what_a_database_image_is(image: str | None, is_one: bool) -> None:
    assert database.is_database(image) is is_one


def test_the_access_data_are_for_their_owner_only(sandbox: Sandbox) -> None:
    path = sandbox.state_dir / "sandbox.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    named = {"schema", "endpoint", "token", "project_id", "environment_id", "database_url", "timeline"}
    assert named <= set(json.loads(path.read_text()))


def test_another_process_can_attach_and_stop_it(tmp_path: Path) -> None:
    started = Sandbox.start(tmp_path / "state", source_dir=tmp_path, database="sqlite", empty=True, detach=True)
    try:
        attached = Sandbox.attach(tmp_path / "state")
        assert attached.endpoint == started.endpoint
        attached.stop()
        with pytest.raises(DeploykitError, match="no sandbox is running here"):
            Sandbox.attach(tmp_path / "state")
    finally:
        started.stop()


def test_a_sandbox_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with Sandbox.start(tmp_path / "state", source_dir=tmp_path, database="sqlite", empty=True) as sandbox:
        railway = Driver(sandbox)
        deployment = railway.deploy(railway.service("kept", FOREVER, {"A": "1"}))
        tokens, etag = (sandbox.token, sandbox.api_token), railway.etag()
    with Sandbox.start(tmp_path / "state", source_dir=tmp_path, database="sqlite") as sandbox:
        railway = Driver(sandbox)
        assert (sandbox.token, sandbox.api_token) == tokens
        assert railway.etag() == etag
        railway.wait(lambda: sandbox.processes("kept"))
        assert railway.deployment(deployment)["status"] == "SUCCESS"


def test_a_taken_port_is_said_in_words(sandbox: Sandbox, tmp_path: Path) -> None:
    port = int(sandbox.endpoint.split(":")[2].split("/")[0])
    with pytest.raises(DeploykitError, match=f"cannot listen on 127.0.0.1:{port}"):
        Sandbox.start(tmp_path / "state", port=port, database="sqlite", empty=True)


def test_without_a_folder_it_leaves_none_behind() -> None:
    with Sandbox.start(database="sqlite", empty=True) as sandbox:
        folder = sandbox.state_dir
        assert folder.is_dir()
    assert not folder.exists()


def test_two_sandboxes_never_share_a_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(DeploykitError, match="a sandbox runs on this folder already"):
        Sandbox.start(sandbox.state_dir, source_dir=tmp_path, database="sqlite", empty=True)
    assert Sandbox.attach(sandbox.state_dir).endpoint == sandbox.endpoint


def test_a_folder_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeploykitError, match="cannot write to the state folder"):
        Sandbox.start(tmp_path / "file" / "state", database="sqlite", empty=True)


def test_iac_partials_can_be_switched_on(tmp_path: Path) -> None:
    with Sandbox.start(tmp_path / "state", database="sqlite", empty=True, iac_partials=True) as sandbox:
        query = "query($e: String!) { environment(id: $e) { iacPartials } }"
        assert sandbox.graphql(query, {"e": sandbox.environment_id}) == {"environment": {"iacPartials": {}}}
