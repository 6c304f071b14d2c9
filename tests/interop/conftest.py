from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runtime.db import Database, connect
from tests.chaos.conftest import prepared
from tests.interop.node import NoNode, application, call
from tests.mysql.fixtures import SERVERS, the_server


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest) -> str:
    """A database whose user needs no password, as Node's driver asks for TLS or a key otherwise."""
    return prepared(the_server(request.param))


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    with connect(url) as db:
        yield db


@pytest.fixture
def node(url: str) -> Callable[..., Any]:
    """`node("enqueue", "mail", "{}")` is what the Node application answers."""
    try:
        application()
    except NoNode as reason:
        if os.environ.get("DEPLOYKIT_REQUIRE_SERVERS"):
            pytest.fail(str(reason))
        pytest.skip(str(reason))
    plain = url.partition("?")[0]
    return lambda *words: call(plain, *words)
