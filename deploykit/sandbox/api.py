"""From a GraphQL document to an HTTP answer: parse, validate, authorise, execute; with the faults on the way."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    build_schema,
    execute,
    parse,
    validate,
)

from deploykit.errors import DeploykitError
from deploykit.sandbox.access import Access, identify
from deploykit.sandbox.faults import Fault
from deploykit.sandbox.limits import RateLimit
from deploykit.sandbox.mutations import Mutation
from deploykit.sandbox.platform import Platform, Refusal
from deploykit.sandbox.queries import Query
from deploykit.sandbox.resolvers import NotInSandbox, Request, resolve
from deploykit.sandbox.state import new_id
from deploykit.sandbox.views import Views

SCHEMA_FILE = Path(__file__).with_name("schema.graphql")
IAC_PARTIALS = "extend type Environment { iacPartials: JSON }"
DOCUMENTS_KEPT = 256
REQUESTS_KEPT = 1_000
GATEWAY_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
_GATEWAY = {
    502: "502 Bad Gateway",
    503: "503 Service Unavailable",
    504: "504 Gateway Timeout",
    429: "429 Too Many Requests",
}


@dataclass(slots=True)
class Answer:
    """What goes over the wire; ``body`` None means that the connection is dropped without an answer."""

    status: int
    body: bytes | None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    hang_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Operation:
    """A parsed and valid document, and the one operation of it to execute."""

    document: DocumentNode
    name: str | None
    kind: str
    fields: tuple[str, ...]


class Api:
    """Railway's GraphQL endpoint in front of one platform."""

    def __init__(self, platform: Platform, rate_limit: RateLimit, *, iac_partials: bool = False) -> None:
        self.platform, self.rate_limit = platform, rate_limit
        text = SCHEMA_FILE.read_text("utf-8") + (IAC_PARTIALS if iac_partials else "")
        self.schema: GraphQLSchema = build_schema(text, assume_valid=True)
        self.queries: Counter[str] = Counter()
        self.mutations: Counter[str] = Counter()
        self.total_requests = 0
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)
        self._documents: OrderedDict[str, DocumentNode] = OrderedDict()
        self._hidden: dict[str, float] = {}

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to one POST; header names in lower case."""
        wait_seconds = self.rate_limit.take()
        if wait_seconds is not None:
            return self._finish(_page(429, {"Retry-After": str(wait_seconds)}), None)
        try:
            operation, variables = self._read(body)
        except GraphQLError as error:
            return self._finish(_errors(400, [error]), None)
        faults = self.platform.faults
        if fault := faults.take("rate-limited", fields=operation.fields):
            seconds = fault.parameters["retry_after_seconds"]
            return self._finish(_page(429, {} if seconds is None else {"Retry-After": str(int(seconds))}), operation)
        if fault := faults.take("server-error", fields=operation.fields):
            return self._finish(_page(int(fault.parameters["status"])), operation)
        if fault := faults.take("timeout-before-effect", fields=operation.fields):
            return self._finish(_dropped(fault), operation)
        if fault := faults.take("delay", fields=operation.fields):
            await asyncio.sleep(fault.parameters["seconds"])
        self._count(operation)
        answer = await self._execute(operation, variables, headers)
        if faults.take("duplicate", fields=operation.fields):
            answer = await self._execute(operation, variables, headers)
        if fault := faults.take("timeout-after-effect", fields=operation.fields):
            answer = _dropped(fault)
        return self._finish(answer, operation)

    # ---- steps ------------------------------------------------------------------------------------------------

    def _read(self, body: bytes) -> tuple[Operation, dict[str, Any]]:
        """The operation and its variables. Raises GraphQLError for anything that is the client's mistake."""
        try:
            request = json.loads(body)
            query = request["query"]
            variables = request.get("variables") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise GraphQLError("POST body missing, invalid Content-Type, or JSON object has no keys.") from None
        if not isinstance(query, str) or not isinstance(variables, dict):
            raise GraphQLError("`query` must be a string and `variables` an object", extensions={"code": "BAD_REQUEST"})
        document = self._documents.get(query)
        if document is None:
            document = self._checked(query)
            self._documents[query] = document
            if len(self._documents) > DOCUMENTS_KEPT:
                self._documents.popitem(last=False)
        return _operation(document, request.get("operationName")), variables

    def _checked(self, query: str) -> DocumentNode:
        try:
            document = parse(query)
        except GraphQLError as error:
            error.extensions = {"code": "GRAPHQL_PARSE_FAILED"}
            raise
        if errors := validate(self.schema, document):
            errors[0].extensions = {"code": "GRAPHQL_VALIDATION_FAILED"}
            raise errors[0]
        return document

    async def _execute(self, operation: Operation, variables: dict[str, Any], headers: Mapping[str, str]) -> Answer:
        faults, state = self.platform.faults, self.platform.state
        try:
            if fault := faults.take("problem-processing", fields=operation.fields):
                raise Refusal("Problem processing request", "INTERNAL_SERVER_ERROR")
            if fault := faults.take("error", fields=operation.fields):
                raise Refusal(str(fault.parameters["message"]), fault.parameters["code"])
            access = Access(state, identify(state, headers))
        except Refusal as refusal:
            refused = GraphQLError(str(refusal), path=list(operation.fields[:1]), extensions=_extensions(refusal.code))
            return _errors(200, [refused])
        page = faults.take("page-limit", fields=operation.fields)
        limit = int(page.parameters["size"]) if page else None
        request = Request(self.platform, access, Views(self.platform, self._is_hidden, limit), self._is_visible)
        lag = faults.take("lag", fields=operation.fields) if operation.kind == "mutation" else None
        before = self._objects() if lag else set()
        result = execute(
            self.schema,
            operation.document,
            Mutation(request) if operation.kind == "mutation" else Query(request),
            variable_values=variables,
            operation_name=operation.name,
            field_resolver=resolve,
        )
        if inspect.isawaitable(result):
            result = await result
        assert isinstance(result, ExecutionResult)
        if lag:
            visible_at = time.time() + lag.parameters["seconds"]
            self._hidden.update(dict.fromkeys(self._objects() - before, visible_at))
        return self._result(operation, result)

    def _result(self, operation: Operation, result: ExecutionResult) -> Answer:
        data: Any = result.data
        if fault := self.platform.faults.take("unknown-status", fields=operation.fields):
            data = _replace_status(data, str(fault.parameters["value"]))
        if fault := self.platform.faults.take("extra-keys", fields=operation.fields):
            data = _add_key(data, str(fault.parameters["key"]))
        if not result.errors:
            return Answer(200, _json({"data": data}))
        # A value that does not fit its variable never reaches a resolver: such an error has no path.
        status = 400 if data is None and all(error.path is None for error in result.errors) else 200
        return _errors(status, result.errors, data)

    def _objects(self) -> set[str]:
        state = self.platform.state
        return {*state.services, *state.deployments, *state.volumes, *state.environments, *state.buckets}

    def _is_visible(self, object_id: str) -> bool:
        return self._hidden.get(object_id, 0) <= time.time()

    def _is_hidden(self, object_id: str, _created: str) -> bool:
        return not all(self._is_visible(part) for part in object_id.split(":"))

    def _count(self, operation: Operation) -> None:
        (self.mutations if operation.kind == "mutation" else self.queries).update(operation.fields)

    def _finish(self, answer: Answer, operation: Operation | None) -> Answer:
        answer.headers = {**self.rate_limit.headers(), "X-Request-Id": new_id(), **answer.headers}
        self.total_requests += 1
        self.requests.append(
            {
                "at_ms": int(time.time() * 1000),
                "kind": operation.kind if operation else None,
                "name": operation.name if operation else None,
                "fields": list(operation.fields) if operation else [],
                "status": answer.status if answer.body is not None else None,
            }
        )
        return answer


def _operation(document: DocumentNode, name: Any) -> Operation:
    found = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    chosen = [one for one in found if name is None or (one.name and one.name.value == name)]
    if len(chosen) != 1:
        raise GraphQLError("Must provide operation name if query contains multiple operations.")
    operation = chosen[0]
    if operation.operation == OperationType.SUBSCRIPTION:
        raise GraphQLError("Subscriptions are served over WebSocket (graphql-transport-ws), not over POST")
    fields = tuple(one.name.value for one in operation.selection_set.selections if isinstance(one, FieldNode))
    return Operation(document, operation.name.value if operation.name else None, operation.operation.value, fields)


def _extensions(code: str | None) -> dict[str, Any]:
    return {"code": code or "INTERNAL_SERVER_ERROR", "traceId": str(int(time.time_ns() % 10**18))}


def _errors(status: int, errors: list[GraphQLError], data: Any = None) -> Answer:
    shown = []
    for error in errors:
        original = error.original_error
        code = (error.extensions or {}).get("code")
        message = error.message
        if isinstance(original, Refusal):
            code = original.code
        elif isinstance(original, NotInSandbox):
            code = "NOT_IN_SANDBOX"
        elif isinstance(original, DeploykitError):
            message = original.message
        elif original is not None and not isinstance(original, GraphQLError):
            # What went wrong inside is for the sandbox's own log; Railway says no more than this either.
            message, code = "Problem processing request", "INTERNAL_SERVER_ERROR"
        elif code is None:
            code = "BAD_USER_INPUT" if error.path is None and status == 400 else None
        shown.append(
            {
                "message": message,
                "path": list(error.path) if error.path else None,
                "locations": [{"line": place.line, "column": place.column} for place in error.locations or []],
                "extensions": {
                    **_extensions(code),
                    **{k: v for k, v in (error.extensions or {}).items() if k == "traceId"},
                },
            }
        )
    return Answer(status, _json({"data": data, "errors": shown}))


def _page(status: int, headers: dict[str, str] | None = None) -> Answer:
    page = GATEWAY_PAGE.format(_GATEWAY.get(status, f"{status} Error"))
    return Answer(status, page.encode(), "text/html", headers or {})


def _dropped(fault: Fault) -> Answer:
    return Answer(0, None, hang_seconds=float(fault.parameters["hang_seconds"]))


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _replace_status(value: Any, status: str) -> Any:
    if isinstance(value, dict):
        return {
            key: status if key == "status" and isinstance(child, str) else _replace_status(child, status)
            for key, child in value.items()
        }
    return [_replace_status(child, status) for child in value] if isinstance(value, list) else value


def _add_key(value: Any, key: str) -> Any:
    """An unknown key in every config and meta of an answer: readers have to ignore it."""
    if isinstance(value, dict):
        grown = {name: _add_key(child, key) for name, child in value.items()}
        return {**grown, key: {"unknown": True}} if {"services", "serviceManifest"} & set(grown) else grown
    return [_add_key(child, key) for child in value] if isinstance(value, list) else value
