"""Every message that a test of this directory puts into an outbox has to be as its JSON Schema says.

What a module of ON_BOTH says of a store in memory it says of one in PostgreSQL as well: its tests run with each.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry, Resource

from bridge.tests.service import postgres_server
from bridge.tests.service.postgres_server import PostgresServer
from zaehlwerk_bridge.messages import Message
from zaehlwerk_bridge.outbox import Outbox
from zaehlwerk_bridge.store import Store

ON_BOTH = frozenset(
    {
        "test_consumer_document",
        "test_forgetting",
        "test_republishing",
        "test_resolution",
        "test_retrying",
        "test_store",
    }
)
SCHEMA = Path(__file__).parents[2] / "schema"


def _pattern(validator: Any, pattern: str, text: Any, _schema: Any) -> Iterator[ValidationError]:
    """As ECMA-262 reads it, whose dialect JSON Schema's is: `$` is the end alone, and not before a line feed as well."""
    if validator.is_type(text, "string") and not re.search(pattern.replace("$", r"\Z"), text):
        yield ValidationError(f"{text!r} does not match {pattern!r}")


Validator = extend(Draft202012Validator, {"pattern": _pattern})


def validators() -> dict[str, Draft202012Validator]:
    """By the last part of a topic."""
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(SCHEMA.glob("*.json"))}
    registry: Registry[object] = Registry().with_resources(
        [(f"{name}.json", Resource.from_contents(schema)) for name, schema in read.items()]
    )
    for schema in read.values():
        Draft202012Validator.check_schema(schema)
    return {name: Validator(schema, registry=registry) for name, schema in read.items()}


@pytest.fixture(scope="session")
def schema() -> dict[str, Draft202012Validator]:
    """The validators, by the last part of a topic."""
    return validators()


@pytest.fixture(autouse=True)
def _messages_are_valid(schema: dict[str, Draft202012Validator], monkeypatch: pytest.MonkeyPatch) -> None:
    add: Callable[[Outbox, Message], int] = Outbox.add

    def checked(self: Outbox, message: Message) -> int:
        schema[message.topic.rsplit("/", 1)[1]].validate(json.loads(message.payload))
        return add(self, message)

    monkeypatch.setattr(Outbox, "add", checked)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL for all tests of this directory; it need not survive a power cut."""
    with postgres_server.started(
        tmp_path_factory.mktemp("postgres"), {"fsync": "off", "full_page_writes": "off"}
    ) as server:
        yield server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of ON_BOTH with each database; those that throw dice with the one that is made in no time."""
    dice = getattr(metafunc.function, "is_hypothesis_test", False)
    if metafunc.module.__name__.rpartition(".")[2] in ON_BOTH and not dice:
        metafunc.parametrize("_database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def _database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if getattr(request, "param", "sqlite") == "sqlite":
        yield
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    opened: list[Store] = []

    def store(place: object, **options: object) -> Store:
        made = Store(server.new_store_place() if place == ":memory:" else place, **options)  # type: ignore[arg-type]
        opened.append(made)
        return made

    monkeypatch.setattr(request.module, "Store", store)
    yield
    for one in opened:
        one.close()
