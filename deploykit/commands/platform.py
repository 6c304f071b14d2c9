"""Railway as verify sees it: snapshots, log lines and the homes of deployments. Reads only."""

from __future__ import annotations

from deploykit.errors import DeploykitError
from deploykit.planning.snapshot import Snapshot
from deploykit.profile.schema import Profile
from deploykit.railway import snapshot
from deploykit.railway.answers import said, understood
from deploykit.railway.client import Railway

MOST_LINES = 500
TAIL_LINES = 20
KEPT_FROM_LINES = 3
"""A start writes at least three of the promised lines; fewer may be the beginning of more."""
PUBLIC_URL = "MYSQL_PUBLIC_URL"
"""What Railway's MySQL template calls its address through the TCP proxy, once Public Access is enabled."""


class RailwayPlatform:
    """One environment. Deployment variables never change, so each deployment's are asked for once in its life."""

    def __init__(self, railway: Railway, *, keep_logs: bool = False) -> None:
        """``keep_logs`` asks for the first lines of a deployment only until there are some: for who looks often."""
        self.railway = railway
        self._known: snapshot.Snapshots = {}
        self._logs: dict[str, tuple[str, ...]] | None = {} if keep_logs else None

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return self.railway.requests

    def snapshot(self) -> Snapshot:
        """Everything in the environment. Raises DeploykitError."""
        return snapshot.read(self.railway, self._known)

    def logs(self, deployment: str, phrases: tuple[str, ...]) -> tuple[str, ...]:
        """The lines of a deployment that hold one of the phrases, oldest first. Raises DeploykitError."""
        if self._logs and self._logs.get(deployment):
            return self._logs[deployment]
        lines = self._lines(deployment, MOST_LINES, " OR ".join(f'"{phrase}"' for phrase in phrases))
        if self._logs is not None and len(lines) >= KEPT_FROM_LINES:
            self._logs[deployment] = lines
        return lines

    def tail(self, deployment: str) -> tuple[str, ...]:
        """The last lines of a deployment. Raises DeploykitError."""
        return self._lines(deployment, TAIL_LINES, None)[-TAIL_LINES:]

    def _lines(self, deployment: str, limit: int, search: str | None) -> tuple[str, ...]:
        # An application may say its own secrets before it dies; they are not repeated.
        secrets = tuple(self.railway.secrets)
        with understood(self.railway.endpoint):
            answer = self.railway.run("Logs", deploymentId=deployment, limit=limit, filter=search)
            return tuple(said(str(line["message"]), secrets) for line in sorted(answer["deploymentLogs"], key=_when))

    def elsewhere(self, deployment: str) -> str | None:
        """The environment of a deployment that this one does not show, None when it is ours. Raises DeploykitError."""
        with understood(self.railway.endpoint):
            found = self.railway.run("Deployment", id=deployment)["deployment"]
            if found is None or found["environmentId"] == self.railway.environment_id:
                return None
            environment = found.get("environment") or {}
            return str(environment.get("name") or found["environmentId"])

    def public_database_url(self, profile: Profile) -> str | None:
        """The public address of the profile's database, None when it has none or we may not read it."""
        if profile.database is None:
            return None
        live = self.snapshot().service(profile.database.service)
        if live is None or PUBLIC_URL not in live.variables:
            return None
        try:
            with understood(self.railway.endpoint):
                url = self.railway.run(
                    "ServiceVariables",
                    projectId=self.railway.project_id,
                    environmentId=self.railway.environment_id,
                    serviceId=live.id,
                )["variablesForServiceDeployment"].get(PUBLIC_URL)
        except DeploykitError:
            return None
        return str(url) if url else None


def _when(line: dict[str, object]) -> str:
    return str(line["timestamp"])
