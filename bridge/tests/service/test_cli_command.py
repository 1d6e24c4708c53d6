"""A node gets a command from the command line: beside a running bridge, and on the store of a stopped one."""

from __future__ import annotations

import json

from bridge.tests.service.rig import Rig
from bridge.tests.service.test_cli import configured, runs
from bridge.tests.service.test_commands import EUI, asked, counting
from bridge.tests.service.until import until
from zaehlwerk_protocol.command import IDENTIFY, REBOOT


async def test_a_bridge_sends_it_when_it_starts_or_at_once_if_it_runs_and_the_same_id_shows_how_far_it_is(
    rig: Rig,
) -> None:
    await counting(rig)
    config = configured(rig)
    async with rig.bridge() as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
    told = ("command", "identify", "--config", config, "--station", "One", "--fields", '{"seconds": 30}')
    assert await runs(*told, "--id", "a") == (0, "one: identify a: accepted\n", "")
    async with rig.bridge() as bridge:
        await until(lambda: len(rig.server.enqueued) == 1)
        await bridge.quiet()
        status, out, _ = await runs(*told, "--id", "a", "--json")
        assert (status, json.loads(out)["fate"], json.loads(out)["ok"]) == (0, "queued", True)
        item = await rig.server.transmit(EUI)
        await rig.server.acknowledge(EUI, item.id)
        status, out, _ = await runs("command", "reboot", "--config", config, "--station", "one")
        assert (status, out.startswith("one: reboot cli.")) == (0, True)
        await until(lambda: len(rig.server.enqueued) == 2)
    assert [command.kind for command in asked(rig)] == [IDENTIFY, REBOOT]


async def test_what_is_refused_says_why_and_has_an_exit_status_of_its_own(rig: Rig) -> None:
    await counting(rig)
    config = configured(rig)
    async with rig.bridge() as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
    refused = "zaehlwerk-bridge: elsewhere: reboot is refused: there is no station of that name\n"
    assert await runs("command", "reboot", "--config", config, "--station", "Elsewhere") == (4, "", refused)
    status, out, _ = await runs("command", "explode", "--config", config, "--station", "one", "--json")
    assert status == 4
    assert json.loads(out)["ok"] is False
    assert "must be one of status, " in json.loads(out)["reason"]
    status, _, err = await runs("command", "reboot", "--config", config, "--station", "one", "--fields", "[]")
    assert (status, "--fields must be a JSON object" in err) == (2, True)
