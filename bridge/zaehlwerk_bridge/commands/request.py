"""What a command's message may say: one model for each kind; schema/command.json is made from them.

`python -m zaehlwerk_bridge.commands.request > bridge/schema/command.json`; a test compares them.
"""

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import CoreSchema

from zaehlwerk_protocol import alarm as alarms

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
MAX_INTERVALS = 512
"""Of one backfill command to a node (protocol/SPECIFICATION.md, Command)."""
OWN_ID = "bridge."
"""Begins the ids of the bridge's own questions, and no other."""
_MOST_SHOWN = 200

ALARMS = {
    "stuck": alarms.STUCK,
    "silent": alarms.SILENT,
    "tamper": alarms.TAMPER,
    "low_battery": alarms.LOW_BATTERY,
    "clock_lost": alarms.CLOCK_LOST,
    "congestion": alarms.CONGESTION,
}


class BadRequest(ValueError):
    """A message that is no command. `id`: the one it names, empty if that cannot be told."""

    def __init__(self, reason: str, identity: str = "") -> None:
        super().__init__(reason)
        self.id = identity


def _real_time(text: str) -> str:
    seconds(text)
    return text


def _not_own(text: str) -> str:
    if text.startswith(OWN_ID):
        raise ValueError(f"ids that begin with {OWN_ID!r} are the bridge's own")
    return text


def seconds(text: str) -> int:
    """Unix seconds of a time of the form TIME_PATTERN. Raises ValueError if there is no such time."""
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{text} is no time, for example 2026-06-18T06:00:00Z") from None
    if moment.year < 2000:
        raise ValueError(f"{text} is before the year 2000")
    return int(moment.timestamp())


Moment = Annotated[str, Field(pattern=TIME_PATTERN), AfterValidator(_real_time)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Annotated[
        str,
        Field(
            pattern=ID_PATTERN,
            description="Chosen by who asks, one for each command of a station. A message with an id that is known does nothing again.",
        ),
        AfterValidator(_not_own),
    ]
    expires: Moment | None = Field(
        default=None,
        description="UTC. What is not sent until then is not sent any more; without it the setting commands.expire_s.",
    )


class StatusRequest(_Request):
    """The node shall send a status frame."""

    command: Literal["status"]


class BackfillRequest(_Request):
    """The node shall send again what it counted in the intervals that lie, even in part, from `from` to before `to`."""

    command: Literal["backfill"]
    begin: Moment = Field(alias="from", description="UTC.")
    end: Moment = Field(alias="to", description="UTC; later than `from`.")


class BackfillUnsyncedRequest(_Request):
    """The same for intervals that the node numbered itself, before it knew the time."""

    command: Literal["backfill_unsynced"]
    first: int = Field(ge=0, le=65535, description="Number of the first interval, modulo 65536.")
    count: int = Field(ge=1, le=MAX_INTERVALS, description="How many intervals.")


class SetConfigRequest(_Request):
    """The node shall take these settings; as many frames as they need are sent."""

    command: Literal["set_config"]
    settings: dict[str, JsonValue] = Field(
        min_length=1, description="The settings document as the node knows it; never a key."
    )


class GetConfigRequest(_Request):
    """The node shall send its settings; the answer holds the whole document."""

    command: Literal["get_config"]


class RebootRequest(_Request):
    """The node shall restart."""

    command: Literal["reboot"]


class RejoinRequest(_Request):
    """The node shall join the network anew."""

    command: Literal["rejoin"]


class IdentifyRequest(_Request):
    """The node shall show itself to who stands before it."""

    command: Literal["identify"]
    seconds: int = Field(ge=1, le=3600, description="For how long.")


class TimeRequest(_Request):
    """The node shall ask the network for the time."""

    command: Literal["time"]
    hint: Moment | None = Field(default=None, description="UTC; the network's time is checked against it.")


class ClearAlarmRequest(_Request):
    """The node shall take an alarm for over."""

    command: Literal["clear_alarm"]
    alarm: Literal["stuck", "silent", "tamper", "low_battery", "clock_lost", "congestion"]
    channels: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        default=[], max_length=8, description="Names of the channels concerned; empty: the node as a whole."
    )


class RepublishRequest(_Request):
    """The bridge shall publish the records of the station again; no frame goes to the node."""

    command: Literal["republish"]
    begin: Moment | None = Field(
        default=None, alias="from", description="UTC; without it from the beginning."
    )
    end: Moment | None = Field(
        default=None, alias="to", description="UTC, not included; without it to the end."
    )


Request = (
    StatusRequest
    | BackfillRequest
    | BackfillUnsyncedRequest
    | SetConfigRequest
    | GetConfigRequest
    | RebootRequest
    | RejoinRequest
    | IdentifyRequest
    | TimeRequest
    | ClearAlarmRequest
    | RepublishRequest
)
_ADAPTER: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="command")])
KINDS = tuple(model.model_fields["command"].annotation.__args__[0] for model in Request.__args__)


def read_request(payload: bytes, most_bytes: int) -> Request:
    """Return what `payload` asks for. Raises BadRequest; its text holds nothing of what the message says."""
    if len(payload) > most_bytes:
        raise BadRequest(f"the message has {len(payload)} bytes; commands have at most {most_bytes}")
    try:
        return _ADAPTER.validate_json(payload)
    except ValidationError as error:
        raise BadRequest(_why(error), _identity(payload)) from None


def _why(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # The first part of a place is the kind of command, which the union adds.
    place = ".".join(str(part) for part in first["loc"][1:] if len(str(part)) <= 32)
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "there is no such field"
    elif first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        message = f"command: must be one of {', '.join(KINDS)}"
    elif first["type"] == "json_invalid":
        message = f"the message is not JSON: {message.removeprefix('Invalid JSON: ')}"
    return f"{place}: {message}"[:_MOST_SHOWN] if place else message[: 2 * _MOST_SHOWN]


def _identity(payload: bytes) -> str:
    """The id of a message that is wrong in another place."""
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError):
        return ""
    identity = content.get("id") if isinstance(content, dict) else None
    return identity if isinstance(identity, str) and re.fullmatch(ID_PATTERN, identity) else ""


class _Plain(GenerateJsonSchema):
    """Without the titles that pydantic makes of names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        made = super().generate(schema, mode)
        for definition in made.get("$defs", {}).values():
            definition.pop("title", None)
        return made


def schema_text() -> str:
    """The JSON Schema of a command's message, as schema/command.json holds it."""
    made = _ADAPTER.json_schema(by_alias=True, schema_generator=_Plain)
    made.pop("discriminator", None)  # OpenAPI's, not JSON Schema's
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "command.json",
        "title": "Command",
        "description": "What the platform asks of a node, or of the bridge about a station. COMMANDS.md says what follows.",
    }
    return json.dumps({**head, **made}, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
