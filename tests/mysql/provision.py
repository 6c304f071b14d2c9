"""Get a real MySQL 9 for the tests without installing anything: `python -m tests.mysql.provision`.

Debian carries MySQL in unstable only. Its server package and the libraries it needs are downloaded from the mirror that
this machine's apt already uses, unpacked into a cache folder, and started through the unpacked dynamic loader by a
small `bin/mysqld`, which the tests find there (or through DEPLOYKIT_MYSQLD). Works without root. Exit status 0 when a
server is there, 1 when it cannot be had; the reason is printed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = "mysql-server-core"
SUITE = "unstable"
KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)


class Missing(Exception):
    """Why there can be no MySQL here."""


def cache_folder() -> Path:
    return Path(os.environ.get("DEPLOYKIT_CACHE") or Path.home() / ".cache" / "deploykit") / "mysql"


def provision() -> Path:
    """The wrapper that starts MySQL, fetched first if it is not there. Raises `Missing`."""
    wrapper = cache_folder() / "bin" / "mysqld"
    if _works(wrapper):
        return wrapper
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise Missing(f"{program} is not on this machine; only Debian and its relatives are supported")
    folder = cache_folder().with_name("mysql.new")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        packages = _download(folder / "apt", _mirror())
        root = _unpack(packages, folder / "root")
        _write_wrapper(folder / "bin" / "mysqld", root)
        shutil.rmtree(folder / "apt")
        shutil.rmtree(cache_folder(), ignore_errors=True)
        folder.rename(cache_folder())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not _works(wrapper):
        raise Missing(f"{wrapper} was unpacked but does not start")
    return wrapper


def _works(wrapper: Path) -> bool:
    if not wrapper.is_file():
        return False
    done = subprocess.run([wrapper, "--version"], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode == 0 and "Ver 9" in done.stdout


def _mirror() -> str:
    """The Debian mirror that apt is configured with on this machine."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    for line in listed.stdout.splitlines():
        uri, _, release = line.partition(" ")
        if uri.rstrip("/").endswith("/debian") and "security" not in release:
            return uri
    raise Missing("apt on this machine is configured with no Debian mirror, and only Debian carries this MySQL")


def _download(folder: Path, mirror: str) -> list[Path]:
    """All packages that the server needs, down to the C library, through an apt that believes nothing is installed."""
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    keyring = next((path for path in KEYRINGS if path.is_file()), None)
    if keyring is None:
        raise Missing("the package debian-archive-keyring is not installed, so downloads cannot be checked")
    (folder / "sources.list").write_text(f"deb [signed-by={keyring}] {mirror} {SUITE} main\n")
    _apt(folder, "update")
    _apt(folder, "install", "--yes", "--download-only", "--no-install-recommends", PACKAGE)
    return sorted((folder / "archives").glob("*.deb"))


def _apt(folder: Path, *words: str) -> None:
    options = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Cache::Archives": folder / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Log": folder,
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "true",
        "APT::Update::Post-Invoke-Success::": "true",
    }
    flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    done = subprocess.run(["apt-get", "-qq", *flags, *words], capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise Missing(f"apt-get {words[0]} failed: {(done.stderr or done.stdout).strip()[-400:]}")


def _unpack(packages: list[Path], root: Path) -> Path:
    root.mkdir(parents=True)
    for package in packages:
        done = subprocess.run(
            ["dpkg-deb", "--extract", package, root], capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode != 0:
            raise Missing(f"{package.name} cannot be unpacked: {done.stderr.strip()[-400:]}")
    return root


def _write_wrapper(wrapper: Path, root: Path) -> None:
    """A script that starts the unpacked server with the unpacked loader and libraries.

    It finds its own folder when it runs, so that the cache may be moved; --no-defaults has to stay the first word.
    """
    loader = next(root.glob("usr/lib*/**/ld-linux*.so.*"), None)
    libc = next(root.glob("usr/lib/**/libc.so.6"), None)
    server = root / "usr" / "sbin" / "mysqld"
    if loader is None or libc is None or not server.is_file():
        raise Missing(f"the packages hold no {'loader' if loader is None else 'server'} where it was expected")
    libraries = f"$root/{libc.parent.relative_to(root)}"
    wrapper.parent.mkdir(parents=True)
    wrapper.write_text(
        "#!/bin/sh\n"
        'root=$(dirname "$(dirname "$(readlink -f "$0")")")/root\n'
        "first=--no-defaults\n"
        'case "$1" in --no-defaults|--defaults-file=*) first=$1; shift ;; esac\n'
        f'exec "$root/{loader.relative_to(root)}" --library-path "{libraries}" \\\n'
        f'  "$root/{server.relative_to(root)}" "$first" --mysqlx=OFF --secure-file-priv=NULL \\\n'
        '  --lc-messages-dir="$root/usr/share/mysql" --plugin-dir="$root/usr/lib/mysql/plugin" "$@"\n'
    )
    wrapper.chmod(0o755)


def main() -> int:
    try:
        print(f"MySQL is ready: {provision()}")
    except (Missing, OSError, subprocess.TimeoutExpired) as error:
        print(f"no MySQL 9: {error}; its tests are skipped", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
