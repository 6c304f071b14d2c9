"""Every document is one operation, named like its file, that Railway's schema accepts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, OperationType, build_schema, parse, validate

from deploykit.railway.operations import FOLDER, document, is_mutation

NAMES = sorted(path.stem for path in FOLDER.glob("*.graphql"))
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def subset() -> GraphQLSchema:
    return build_schema((ROOT / "deploykit" / "sandbox" / "schema.graphql").read_text("utf-8"))


@pytest.fixture(scope="module")
def full() -> GraphQLSchema:
    named = os.environ.get("DEPLOYKIT_FULL_SCHEMA")
    place = Path(named) if named else ROOT.parent / "shared" / "railway" / "schema.graphql"
    if not place.is_file():
        pytest.skip("Railway's whole schema is not here; DEPLOYKIT_FULL_SCHEMA may name it")
    return build_schema(place.read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_a_document_holds_one_operation_of_its_own_name(name: str) -> None:
    (operation,) = parse(document(name)).definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert operation.name is not None
    assert operation.name.value == name
    assert is_mutation(document(name)) == (operation.operation is OperationType.MUTATION)


@pytest.mark.parametrize("name", NAMES)
def test_the_sandbox_answers_every_document(name: str, subset: GraphQLSchema) -> None:
    assert not validate(subset, parse(document(name)))


@pytest.mark.parametrize("name", NAMES)
def test_railways_own_schema_accepts_every_document(name: str, full: GraphQLSchema) -> None:
    assert not validate(full, parse(document(name)))
