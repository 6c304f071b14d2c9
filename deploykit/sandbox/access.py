"""Who asks, and what they may see: Railway's token kinds and their headers."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from deploykit.sandbox.platform import Refusal
from deploykit.sandbox.state import Deployment, Environment, Project, Service, State, Token

NOT_AUTHORIZED = ("Not Authorized", "INTERNAL_SERVER_ERROR")


def identify(state: State, headers: Mapping[str, str]) -> Token:
    """The token of a request; header names in lower case. Raises Refusal.

    A project token counts only in its own header, the others only as Bearer.
    """
    project_value = headers.get("project-access-token")
    if project_value is not None:
        token = _find(state, project_value)
        if token is None or token.kind != "project":
            raise Refusal("Project Token not found", "INTERNAL_SERVER_ERROR")
        return token
    scheme, _, value = headers.get("authorization", "").partition(" ")
    token = _find(state, value.strip()) if scheme.lower() == "bearer" else None
    if token is None or token.kind == "project":
        raise Refusal(*NOT_AUTHORIZED)
    return token


def _find(state: State, value: str) -> Token | None:
    found = None
    for known, token in state.tokens.items():
        if hmac.compare_digest(known.encode(), value.encode()):
            found = token
    return found


@dataclass(frozen=True, slots=True)
class Access:
    """The objects a token reaches; anything else, and an empty id, is ``Not Authorized``."""

    state: State
    token: Token

    def everything(self) -> None:
        """Only tokens of a workspace or an account."""
        if self.token.kind == "project":
            raise Refusal(*NOT_AUTHORIZED)

    def project(self, project_id: str | None) -> Project:
        if project_id != self.state.project.id:
            raise Refusal(*NOT_AUTHORIZED)
        return self.state.project

    def environment(self, environment_id: str | None) -> Environment:
        environment = self.state.environments.get(environment_id or "")
        if environment is None or self.token.environment_id not in (None, environment.id):
            raise Refusal(*NOT_AUTHORIZED)
        return environment

    def environments(self, environment_id: str | None) -> list[Environment]:
        """One environment; all of them when none is named, as some mutations have it."""
        if environment_id is not None:
            return [self.environment(environment_id)]
        self.everything()
        return list(self.state.environments.values())

    def service(self, service_id: str | None) -> Service:
        service = self.state.services.get(service_id or "")
        if service is None or service.deleted_at is not None:
            raise Refusal(*NOT_AUTHORIZED)
        return service

    def instance(self, environment_id: str | None, service_id: str | None) -> tuple[Environment, Service]:
        """A service in an environment where it has an instance."""
        environment, service = self.environment(environment_id), self.service(service_id)
        if service.id not in (environment.config.get("services") or {}):
            raise Refusal("ServiceInstance not found")
        return environment, service

    def deployment(self, deployment_id: str | None) -> Deployment:
        deployment = self.state.deployments.get(deployment_id or "")
        if deployment is None or self.token.environment_id not in (None, deployment.environment_id):
            raise Refusal(*NOT_AUTHORIZED)
        return deployment
