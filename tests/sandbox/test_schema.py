"""The schema is Railway's, cut, and every field in it is answered."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    parse,
    print_ast,
    validate,
)

from deploykit.sandbox.api import SCHEMA_FILE
from deploykit.sandbox.mutations import Mutation
from deploykit.sandbox.queries import Query
from tests.sandbox.conftest import FOREVER, Driver

DOCUMENTS = Path(__file__).with_name("documents.graphql").read_text("utf-8")
OPERATIONS = {
    str(one.name.value): one
    for one in parse(DOCUMENTS).definitions
    if isinstance(one, OperationDefinitionNode) and one.name
}
ROOT = Path(__file__).parents[2]


def subset() -> GraphQLSchema:
    return build_schema(SCHEMA_FILE.read_text("utf-8"))


def full_schema() -> GraphQLSchema:
    named = os.environ.get("DEPLOYKIT_FULL_SCHEMA")
    places = [Path(named)] if named else [ROOT.parent / "shared" / "railway" / "schema.graphql"]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        pytest.skip("Railway's whole schema is not here; DEPLOYKIT_FULL_SCHEMA may name it")
    return build_schema(found.read_text("utf-8"))


def signature(field: Any) -> tuple[str, dict[str, str]]:
    return str(field.type), {name: f"{one.type} {one.default_value!r}" for name, one in (field.args or {}).items()}


def test_every_type_and_field_is_railways_own() -> None:
    ours, theirs = subset(), full_schema()
    for name, kind in ours.type_map.items():
        assert name in theirs.type_map, f"Railway has no type {name}"
        other: Any = theirs.type_map[name]
        if isinstance(kind, (GraphQLObjectType, GraphQLInterfaceType)) and not name.startswith("__"):
            for field_name, field in kind.fields.items():
                assert field_name in other.fields, f"Railway has no field {name}.{field_name}"
                assert signature(field) == signature(other.fields[field_name]), f"{name}.{field_name}"
        if isinstance(kind, GraphQLInputObjectType):
            types = {key: f"{one.type} {one.default_value!r}" for key, one in kind.fields.items()}
            assert types == {key: f"{one.type} {one.default_value!r}" for key, one in other.fields.items()}, name
        if isinstance(kind, GraphQLEnumType):
            assert list(kind.values) == list(other.values), name


def test_every_root_field_has_a_resolver_and_every_resolver_a_root_field() -> None:
    schema = subset()
    for root, resolvers in ((schema.query_type, Query), (schema.mutation_type, Mutation)):
        assert root is not None
        named = {name for name in vars(resolvers) if not name.startswith("_")}
        assert named == set(root.fields)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_document_that_clients_send_is_valid(name: str) -> None:
    assert validate(subset(), parse(print_ast(OPERATIONS[name]))) == []


def test_every_document_is_answered(fresh_railway: Driver) -> None:
    railway, sandbox = fresh_railway, fresh_railway.sandbox
    service = railway.service("web", FOREVER, {"A": "1"})
    deployment = railway.deploy(service)
    ids = {"projectId": sandbox.project_id, "environmentId": sandbox.environment_id, "serviceId": service}
    workspace = railway.ask("{ apiToken { workspaces { id } } }")["workspaces"][0]["id"]
    dates = {"startDate": "2020-01-01T00:00:00Z", "endDate": "2999-01-01T00:00:00Z"}
    applied = railway.ask(print_ast(OPERATIONS["ApplyChangeSet"]), **ids, input={"version": 1, "changes": []})
    railway.ask(
        print_ast(OPERATIONS["StageChanges"]), **ids, input={"services": {service: {"variables": {"B": {"value": ""}}}}}
    )
    patch = railway.ask("query($e: String!) { environmentPatches(environmentId: $e) { edges { node { id } } } }",
                        e=sandbox.environment_id)["edges"][0]["node"]["id"]  # fmt: skip
    variables: dict[str, dict[str, Any]] = {
        "ChangeSetStatus": {"id": applied["id"]},
        "Deployments": {"input": {"environmentId": sandbox.environment_id}},
        "DeploymentDetail": {"id": deployment},
        "Logs": {"deploymentId": deployment},
        "Metrics": {**dates, "measurements": ["CPU_USAGE", "MEMORY_USAGE_GB"], "groupBy": ["SERVICE_ID"]},
        "Usage": {**dates, "measurements": ["CPU_USAGE"], "workspaceId": workspace},
        "PreviewChangeSet": {"input": {"version": 1, "changes": []}},
        "ApplyChangeSet": {"input": {"version": 1, "changes": []}},
        "PatchOutcome": {"workflowId": f"commitChanges/{sandbox.environment_id}/{patch}", "patchId": patch},
        "PatchCommit": {"patch": {"services": {service: {"variables": {"C": {"value": "3"}}}}}},
        "StageChanges": {"input": {"services": {service: {"variables": {"B": {"value": "2"}}}}}, "merge": True},
        "CommitStaged": {"skipDeploys": True},
        "UpsertVars": {"input": {**ids, "variables": {"D": "4"}, "skipDeploys": True}},
        "DeleteVar": {"input": {**ids, "name": "D"}},
        "StopDeployment": {"id": deployment},
        "RemoveDeployment": {"id": deployment},
        "Rollback": {"id": deployment},
        "UpdateInstance": {"input": {"overlapSeconds": 0}},
        "SetLimits": {"input": {"environmentId": ids["environmentId"], "serviceId": service, "memoryGB": 1}},
    }
    for name, operation in OPERATIONS.items():
        if name in ("WhoAmIProjectToken", "DeploymentChanged"):
            continue
        wanted = {one.variable.name.value for one in operation.variable_definitions or ()}
        given = {key: value for key, value in {**ids, **variables.get(name, {})}.items() if key in wanted}
        answer = sandbox.graphql(print_ast(operation), given)
        assert all(value is not None for value in answer.values() if name != "Limits"), name


def test_a_field_beyond_the_sandbox_says_so(railway: Driver) -> None:
    from graphql import GraphQLError, execute

    from deploykit.sandbox.resolvers import NotInSandbox, resolve

    schema = build_schema("type Query { unknownThing: String }")
    result = execute(schema, parse("{ unknownThing }"), Mutation.__new__(Mutation), field_resolver=resolve)
    error = result.errors[0]  # type: ignore[union-attr, index]
    assert isinstance(error, GraphQLError)
    assert isinstance(error.original_error, NotInSandbox)
