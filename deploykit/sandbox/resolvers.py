"""How a field finds its method: one class per root type, one method per field, by its GraphQL name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLResolveInfo

from deploykit.errors import DeploykitError
from deploykit.sandbox.access import Access
from deploykit.sandbox.platform import Platform, Refusal
from deploykit.sandbox.state import Environment, Service
from deploykit.sandbox.views import Views


class NotInSandbox(DeploykitError):
    """The field is Railway's, but the sandbox does not answer it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What every resolver works with; ``visible`` tells whether a new object can be seen yet."""

    platform: Platform
    access: Access
    views: Views
    visible: Callable[[str], bool]


class Root:
    """What reading and writing have in common."""

    def __init__(self, request: Request) -> None:
        self._platform, self._state = request.platform, request.platform.state
        self._access, self._views, self._visible = request.access, request.views, request.visible

    def _instance(self, environment_id: str, service_id: str) -> tuple[Environment, Service]:
        environment, service = self._access.instance(environment_id, service_id)
        if not self._visible(service.id):
            raise Refusal("ServiceInstance not found")
        return environment, service


def resolve(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    """A field of a root object is its method, a field of a view its entry. Raises NotInSandbox for any other."""
    name = info.field_name
    if isinstance(source, dict):
        if name not in source:
            raise NotInSandbox(f"{info.parent_type.name}.{name} is not in the sandbox")
        value = source[name]
        return value(**arguments) if callable(value) else value
    method = getattr(source, name, None)
    if method is None:
        raise NotInSandbox(f"{info.parent_type.name}.{name} is not in the sandbox")
    return method(**arguments)
