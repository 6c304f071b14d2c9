"""Private database servers for ``mysql`` and ``mariadb`` images: a real one when installed, else an SQLite file."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploykit.errors import ConfigurationError

IMAGE = "mysql:9"
MOUNT_PATH = "/var/lib/mysql"
VOLUME_SIZE_MB = 5000
DRAINING_SECONDS = 10.0
CHOICES = ("auto", "mysql", "sqlite")
# The template's own: no performance schema, no binary log (Railway docs: MySQL).
START_COMMAND = "docker-entrypoint.sh mysqld --disable-log-bin --performance_schema=0"
_NAMES = ("mysqld", "mariadbd")


def is_database(image: str | None) -> bool:
    """Whether an image is a MySQL or MariaDB server, judged by the last part of its name alone.

    ``prom/mysqld-exporter`` is none, although its name contains the word.
    """
    name = (image or "").split("@")[0].rpartition("/")[2].split(":")[0]
    return re.fullmatch(r"(mysql|mariadb|percona)(-server|-ssl)?", name) is not None


def find_server(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The database server on this machine: DEPLOYKIT_MYSQLD, PATH, /usr/sbin, the project's cache folder."""
    if configured := environment.get("DEPLOYKIT_MYSQLD"):
        return Path(configured) if os.access(configured, os.X_OK) else None
    places = [shutil.which(name) for name in _NAMES] + [f"/usr/sbin/{name}" for name in _NAMES]
    cache = Path(environment.get("DEPLOYKIT_CACHE") or Path.home() / ".cache" / "deploykit")
    found = [place for place in [*places, cache / "mysql" / "bin" / "mysqld"] if place and os.access(place, os.X_OK)]
    return Path(found[0]) if found else None


def choose(wanted: str) -> Path | None:
    """The server to use, or None for SQLite. Raises ConfigurationError when MySQL is wanted and there is none."""
    server = None if wanted == "sqlite" else find_server()
    if wanted == "mysql" and server is None:
        raise ConfigurationError(
            "no MySQL or MariaDB server found on this machine",
            hint="install one, name it in DEPLOYKIT_MYSQLD, or use --database sqlite",
        )
    return server


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def variables(folder: Path, *, sqlite: bool) -> dict[str, str]:
    """The variables that Railway's MySQL template brings, with this machine's port.

    With SQLite ``MYSQL_URL`` names the file, so that ``${{MySQL.MYSQL_URL}}`` works either way.
    """
    server = "mysql://${{MYSQLUSER}}:${{MYSQL_ROOT_PASSWORD}}@${{MYSQLHOST}}:${{MYSQLPORT}}/${{MYSQL_DATABASE}}"
    return {
        "MYSQLHOST": "${{RAILWAY_PRIVATE_DOMAIN}}",
        "MYSQLPORT": str(3306 if sqlite else free_port()),
        "MYSQLUSER": "root",
        "MYSQLPASSWORD": "${{MYSQL_ROOT_PASSWORD}}",
        "MYSQLDATABASE": "${{MYSQL_DATABASE}}",
        "MYSQL_DATABASE": "railway",
        "MYSQL_ROOT_PASSWORD": secrets.token_hex(16),
        "MYSQL_URL": f"sqlite:///{folder / 'railway.db'}" if sqlite else server,
    }


def command(server: Path, folder: Path, settings: Mapping[str, str]) -> list[str]:
    """The server's command line over ``folder``; initialises an empty one first, which takes seconds.

    Raises OSError or CalledProcessError when the folder cannot be initialised.
    """
    data = folder / "data"
    user = ["--user=root"] if os.geteuid() == 0 else []
    if not (data / "mysql").is_dir():
        _initialise(server, data, user)
    first = folder / "first.sql"
    descriptor = os.open(first, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_first_statements(settings))
    return [
        str(server),
        "--no-defaults",
        *user,
        f"--datadir={data}",
        # A socket's path may not exceed 107 bytes, which a deep state folder soon does.
        f"--socket={data / 'mysql.sock'}" if len(str(data)) < 90 else "--socket=mysql.sock",
        f"--port={settings.get('MYSQLPORT', '3306')}",
        "--bind-address=127.0.0.1",
        f"--pid-file={data / 'mysqld.pid'}",
        f"--init-file={first}",
        "--skip-log-bin",
        "--skip-name-resolve",
        "--performance-schema=0",
        "--innodb-use-native-aio=0",
        "--innodb-buffer-pool-size=32M",
        *(["--innodb-log-file-size=16M"] if _is_mariadb(server) else ["--mysqlx=OFF", "--secure-file-priv=NULL"]),
    ]


def _first_statements(settings: Mapping[str, str]) -> str:
    password = settings.get("MYSQL_ROOT_PASSWORD", "").replace("\\", "\\\\").replace("'", "\\'")
    name = settings.get("MYSQL_DATABASE", "railway").replace("`", "")
    # MariaDB's own accounts for these hosts would win over root@% and have no password.
    return (
        "DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1', ''@'localhost';\n"
        f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4;\n"
        f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';\n"
        f"CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '{password}';\n"
        f"ALTER USER 'root'@'%' IDENTIFIED BY '{password}';\n"
        "GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;\n"
    )


def _is_mariadb(server: Path) -> bool:
    done = subprocess.run(
        [server, "--no-defaults", "--version"], capture_output=True, text=True, check=False, timeout=30
    )
    return "MariaDB" in done.stdout


def _initialise(server: Path, data: Path, user: list[str]) -> None:
    data.mkdir(parents=True, exist_ok=True)
    installer = shutil.which("mariadb-install-db") or shutil.which("mysql_install_db")
    if _is_mariadb(server) and installer:
        options = [f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db", "--force"]
        program = [installer, "--no-defaults", *options, *user, "--innodb-log-file-size=16M"]
    else:
        program = [str(server), "--no-defaults", *user, "--initialize-insecure", f"--datadir={data}"]
    subprocess.run(program, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=120)


async def accepts_connections(port: int, patience_seconds: float = 60.0) -> bool:
    """Whether something listens on the loopback port within the time given."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_seconds
    while loop.time() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return True
    return False
