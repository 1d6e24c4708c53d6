"""Every message that a test of this directory puts into an outbox has to be as its JSON Schema says."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from zaehlwerk_bridge.messages import Message
from zaehlwerk_bridge.outbox import Outbox

SCHEMA = Path(__file__).parents[2] / "schema"


def validators() -> dict[str, Draft202012Validator]:
    """By the last part of a topic."""
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(SCHEMA.glob("*.json"))}
    registry: Registry[object] = Registry().with_resources(
        [(f"{name}.json", Resource.from_contents(schema)) for name, schema in read.items()]
    )
    for schema in read.values():
        Draft202012Validator.check_schema(schema)
    return {name: Draft202012Validator(schema, registry=registry) for name, schema in read.items()}


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
