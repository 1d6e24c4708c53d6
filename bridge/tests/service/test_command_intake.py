"""What comes in as a command, however hostile: each message has a named fate, bounds hold, and the bridge runs on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.tests.ledger.conftest import validators
from bridge.tests.service.chirpstack import ChirpStack
from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.operator import Operator
from bridge.tests.service.rig import Rig
from bridge.tests.service.test_commands import EUI, asked, counting, listening
from bridge.tests.service.until import until
from zaehlwerk_bridge.commands.life import Fate
from zaehlwerk_bridge.commands.request import KINDS, BadRequest, read_request, schema_text
from zaehlwerk_bridge.store import Store
from zaehlwerk_protocol import command as commands

DOCUMENT = Path(__file__).parents[2] / "COMMANDS.md"
SCHEMA = Path(__file__).parents[2] / "schema" / "command.json"
COMMAND = validators()["command"]


@pytest.fixture
def operator(broker: Mosquitto) -> Iterator[Operator]:
    operator = Operator(broker.port)
    yield operator
    operator.close()


def refusal(payload: bytes) -> str | None:
    """Why it is no command; None: it is one."""
    try:
        read_request(payload, 100_000)
    except BadRequest as error:
        return str(error)
    return None


def test_the_published_schema_is_the_one_that_is_checked() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema_text()


def test_the_document_names_every_kind_and_every_fate_and_its_examples_are_valid() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    command, told = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", document, re.DOTALL))
    COMMAND.validate(command)
    validators()["result"].validate(told)
    rows = re.findall(r"^\| `(\w+)` \|", document, re.MULTILINE)
    assert rows == [*KINDS, *Fate]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70000) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
TIMES = st.sampled_from(["2026-06-18T06:00:00Z", "2026-06-18T06:00:00", "2026-06-18", "0"])
FIELDS = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "A.b_c:d-e", "", " ", "ä", "a" * 65, "a\n"]) | JSON},
    optional={
        "command": st.sampled_from(KINDS) | JSON,
        "expires": TIMES | JSON,
        "from": TIMES | JSON,
        "to": TIMES | JSON,
        "hint": TIMES | JSON,
        "seconds": st.integers(-1, 4000) | JSON,
        "first": st.integers(-1, 70000),
        "count": st.integers(-1, 600),
        "alarm": st.sampled_from(["stuck", "x"]) | JSON,
        "channels": st.lists(st.text(max_size=3), max_size=9) | JSON,
        "settings": st.dictionaries(st.text(max_size=3), JSON, max_size=2) | JSON,
        "more": JSON,
    },
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(FIELDS, FIELDS.map(lambda content: {**content, "id": "a"}), JSON))
@example({"id": "a\n", "command": "status"})
def test_what_the_schema_forbids_is_refused_and_what_it_allows_is_read(content: object) -> None:
    """Dates that no calendar has are the one thing that a schema cannot see; none is among these."""
    payload = json.dumps(content).encode()
    reason = refusal(payload)
    assert (reason is None) == COMMAND.is_valid(json.loads(payload)), reason
    assert reason is None or 0 < len(reason) < 500


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_bytes_are_a_request_or_refused_with_a_reason(payload: bytes) -> None:
    assert refusal(payload)


DEEP = b'{"id":"deep","command":"set_config","settings":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}"

HOSTILE = [
    (b"", None, "not JSON"),
    (b"reboot", None, "not JSON"),
    (b"\xff\xfe\x00", None, "not JSON"),
    (b"[]", None, "object"),
    (b"null", None, "object"),
    (b'{"id": "a", "command": "reboot"', None, "not JSON"),
    (b"x" * 1_000_000, None, "the message has 1000000 bytes; commands have at most 16384"),
    (DEEP, None, "not JSON"),
    (b'{"command": "reboot"}', None, "id"),
    (b'{"id": 7, "command": "reboot"}', None, "id"),
    (b'{"id": "../#", "command": "reboot"}', None, "id"),
    (b'{"id": "w", "command": "explode"}', "w", "must be one of status, "),
    (b'{"id": "w", "command": ["reboot"]}', "w", "must be one of status, "),
    (b'{"id": "w", "command": "reboot", "force": true}', "w", "there is no such field"),
    (b'{"id": "w", "command": "identify", "seconds": "30"}', "w", "seconds"),
    (b'{"id": "w", "command": "identify", "seconds": 1e400}', "w", "seconds"),
    (b'{"id": "w", "command": "set_config", "settings": {"a": NaN}}', "w", "JSON cannot say"),
    (b'{"id": "w", "command": "set_config", "settings": {"app_key": "00"}}', "w", "app_key never travels"),
    (b'{"id": "w", "command": "status", "expires": "2026-02-31T00:00:00Z"}', "w", "is no time"),
    (b'{"id": "w", "command": "status", "expires": "2001-02-01T00:00:00Z"}', "w", "expires is in the past"),
    (b'{"id": "w", "command": "status", "expires": "2999-02-01T00:00:00Z"}', "w", "more than 30 days"),
    (b'{"id": "w", "command": "clear_alarm", "alarm": "stuck", "channels": ["x"]}', "w", "bicycles"),
    (
        b'{"id": "w", "command": "backfill", "from": "2026-06-18T06:00:00Z", "to": "2026-06-18T06:00:00Z"}',
        "w",
        "from must be before to",
    ),
    (
        b'{"id": "w", "command": "backfill", "from": "2025-06-18T06:00:00Z", "to": "2026-06-18T06:00:00Z"}',
        "w",
        "at most 4096 can be asked for at once",
    ),
    (
        b'{"id": "w", "command": "republish", "from": "2026-06-18T06:00:00Z", "to": "2026-06-18T06:00:00Z"}',
        "w",
        "from must be before to",
    ),
    (
        b'{"id": "w", "command": "set_config", "settings": {"a": "' + b"x" * 4000 + b'"}}',
        "w",
        "fit the frames",
    ),
]


async def test_each_hostile_message_is_refused_with_a_reason_and_the_next_command_is_done(
    rig: Rig, operator: Operator
) -> None:
    node = await counting(rig)
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock, commands_enabled=True) as bridge:
        await listening(bridge, rig)
        for number, (payload, identity, reason) in enumerate(HOSTILE):
            before = len(operator.results(identity))
            operator.say("zaehlwerk/v1/one/command", payload)
            told = await operator.until(identity, "refused", times=before + 1)
            assert reason in told["reason"], number
            assert (told["command"], told["frames"], told["answer"]) == (None, None, None)
        operator.send("one", "good", "reboot")
        await operator.until("good", "queued")
    assert [command.kind for command in asked(rig)] == [commands.REBOOT]
    assert bridge.commands.counts.fates["refused"] == len(HOSTILE)


async def test_a_refused_command_was_not_done_so_its_id_may_be_used_again(
    rig: Rig, operator: Operator
) -> None:
    await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.say("zaehlwerk/v1/one/command", b'{"id": "a", "command": "rebot"}')
        await operator.until("a", "refused")
        operator.send("one", "a", "reboot")
        await operator.until("a", "queued")


async def test_a_station_that_nobody_knows_gets_its_refusal_and_nothing_else(
    rig: Rig, operator: Operator
) -> None:
    await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("elsewhere", "a", "reboot")
        told = await operator.until("a", "refused", "elsewhere")
        assert told["reason"] == "there is no station of that name"
        assert await bridge.ask(lambda store: store.commands.table.known("elsewhere", "a")) is None
    assert rig.server.enqueued == []


@pytest.mark.parametrize(
    "name",
    ["One", "ä", "a b", "a--b", "$SYS", "x" * 200, "-", "one\u2028", "%23", "'; DROP TABLE command;--"],
)
async def test_what_can_be_no_station_goes_to_the_rejected_ones(
    rig: Rig, operator: Operator, name: str
) -> None:
    """No topic is made of such a name. Wildcards cannot come: the broker refuses to take them in a topic."""
    await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.say(f"zaehlwerk/v1/{name}/command", b'{"id": "a", "command": "reboot"}')
        await until(lambda: bool(operator.rejected()))
        (told,) = operator.rejected()
        assert told["reason"] == "no station has such a name"
        assert told["bytes"] == 32
        operator.send("one", "good", "reboot")
        await operator.until("good", "queued")
    assert len(rig.server.enqueued) == 1


async def test_so_many_commands_of_a_station_may_be_open_and_no_more(rig: Rig, operator: Operator) -> None:
    await counting(rig)
    async with rig.bridge(commands_enabled=True, commands_open_per_station=3) as bridge:
        await listening(bridge, rig)
        for number in range(4):
            operator.send("one", f"a{number}", "reboot")
        told = await operator.until("a3", "refused")
        assert told["reason"] == "3 commands of the station are open; wait for their fates"
        await operator.until("a2", "accepted")


async def test_so_many_commands_of_a_station_are_taken_in_an_hour_and_no_more(
    rig: Rig, operator: Operator
) -> None:
    node = await counting(rig)
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock, commands_enabled=True, commands_per_hour=2) as bridge:
        await listening(bridge, rig)
        for number in range(3):
            operator.send("one", f"a{number}", "republish")
        assert (await operator.until("a2", "refused"))["reason"].startswith(
            "2 commands of the station were taken"
        )
        await clock.move(3601)
        operator.send("one", "a2", "republish")
        await operator.until("a2", "answered")


async def test_commands_are_not_listened_to_unless_that_is_switched_on(rig: Rig, operator: Operator) -> None:
    await counting(rig)
    async with rig.bridge() as bridge:
        assert bridge.listener is None
        operator.send("one", "a", "reboot")
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await bridge.published()
    assert operator.results("a") == []


async def test_a_retained_command_is_nobodys(rig: Rig, operator: Operator) -> None:
    """It would be done again by each new session, long after it was meant."""
    await counting(rig)
    operator.say("zaehlwerk/v1/one/command", b'{"id": "old", "command": "reboot"}', retain=True)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        operator.send("one", "new", "reboot")
        await operator.until("new", "queued")
    assert operator.results("old") == []


async def test_a_broker_that_refuses_the_subscription_is_named(rig: Rig) -> None:
    """Mosquitto's access list never does so, it lets nothing through; other brokers and its plug-in do."""
    await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        listener = bridge.listener
        assert listener is not None
        listener.subscribed = False
        listener._on_subscribed(0x87)
        assert "does not let the bridge subscribe to zaehlwerk/v1/+/command" in listener.trouble
        assert not listener.subscribed
    assert "commands do not come in" in rig.logged.getvalue()


async def test_what_the_access_list_does_not_let_through_never_comes(
    tmp_path: Path, server: ChirpStack, start_broker: Callable[..., Mosquitto]
) -> None:
    """The list of COMMANDS.md: an operator of one station commands that one and no other, and reads its results."""
    document = DOCUMENT.read_text(encoding="utf-8")
    listed = re.findall(r"```mosquitto-acl\n(.*?)```", document, re.DOTALL)[0].splitlines()
    broker = start_broker(acl=listed)
    rig = Rig(tmp_path, server, broker)
    await counting(rig)
    operator = Operator(broker.port, username="works-office", topic="zaehlwerk/v1/+/result")
    async with rig.bridge(
        commands_enabled=True, mqtt_username="bridge", mqtt_hold_without_subscriber=False
    ) as bridge:
        await listening(bridge, rig)
        assert bridge.listener is not None
        operator.say("zaehlwerk/v1/elsewhere/command", b'{"id": "a", "command": "reboot"}')
        operator.send("one", "b", "reboot")
        await operator.until("b", "queued")
        assert bridge.listener.received == 1
    operator.close()


async def test_ids_are_known_for_long_after_the_end_and_not_for_ever(rig: Rig, operator: Operator) -> None:
    node = await counting(rig)
    clock = ManualClock(node.now_s * 10**9)
    async with rig.bridge(clock=clock, commands_enabled=True) as bridge:
        await listening(bridge, rig)
        for days, identity, kept in ((0, "a", 1), (80, "b", 2), (20, "c", 2)):
            await clock.move(days * 86400)
            operator.send("one", identity, "republish")
            await operator.until(identity, "answered")
            assert await bridge.ask(commands_kept) == kept


async def test_of_a_station_only_the_latest_ids_are_known(
    rig: Rig, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zaehlwerk_bridge.commands.register.KEPT_MOST", 2)
    await counting(rig)
    async with rig.bridge(commands_enabled=True) as bridge:
        await listening(bridge, rig)
        for number in range(5):
            operator.send("one", f"a{number}", "republish")
            await operator.until(f"a{number}", "answered")
        operator.send("one", "open", "reboot")
        await operator.until("open", "queued")
        assert await bridge.ask(commands_kept) == 3


def commands_kept(store: Store) -> int:
    return len(store.commands.table._entries("own = 0"))
