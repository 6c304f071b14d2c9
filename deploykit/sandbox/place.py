"""Where processes run and what they see: folders, and exactly the variables a container would have."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploykit.sandbox.state import Deployment, Instance, Volume

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Place:
    """Where things run: the state folder, the project's sources, the database server (None: SQLite)."""

    folder: Path
    sources: Path
    database_server: Path | None

    def volume(self, volume_id: str) -> Path:
        return self.folder / "volumes" / volume_id


def process_environment(
    deployment: Deployment, instance: Instance, *, place: Place, provided: Mapping[str, str], volume: Volume | None
) -> dict[str, str]:
    """The rendered variables, Railway's own (``provided``, and those of this replica), and what any program needs.

    Nothing of the operator's environment. The start of PATH is this interpreter's folder, so that ``python`` is the one
    that has the project installed. The volume's mount path is its real folder here.
    """
    home = place.folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    values = {
        "PATH": f"{Path(sys.executable).parent}:{SYSTEM_PATH}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        **provided,
        "RAILWAY_DEPLOYMENT_ID": deployment.id,
        "RAILWAY_SNAPSHOT_ID": deployment.snapshot_id,
        "RAILWAY_REPLICA_ID": instance.id,
        "RAILWAY_REPLICA_REGION": instance.region,
    }
    if instance.port is not None:
        values["PORT"] = str(instance.port)
    if deployment.meta.get("commitHash"):
        owner, _, repository = str(deployment.meta["repo"]).partition("/")
        values |= {
            "RAILWAY_GIT_COMMIT_SHA": str(deployment.meta["commitHash"]),
            "RAILWAY_GIT_BRANCH": str(deployment.meta["branch"]),
            "RAILWAY_GIT_REPO_OWNER": owner,
            "RAILWAY_GIT_REPO_NAME": repository,
            "RAILWAY_GIT_AUTHOR": str(deployment.meta["commitAuthor"]),
            "RAILWAY_GIT_COMMIT_MESSAGE": str(deployment.meta["commitMessage"]),
        }
    if volume is not None:
        folder = place.volume(volume.id)
        folder.mkdir(parents=True, exist_ok=True)
        values |= {"RAILWAY_VOLUME_NAME": volume.name, "RAILWAY_VOLUME_MOUNT_PATH": str(folder)}
    return values | deployment.variables
