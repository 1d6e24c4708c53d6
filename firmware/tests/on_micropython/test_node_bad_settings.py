"""A settings.json that cannot be used, in each way there is: the node keeps the last good one, says so, and counts on."""

import json

import fake_machine
from world import install

install()

from fake_flash import Flash  # noqa: E402
from managed_rig import Managed  # noqa: E402
from node_rig import MIDNIGHT  # noqa: E402

from zaehlwerk_protocol import ports, state  # noqa: E402

# Longer than a start that counts as one that did not last: a status, and a count every minute.
LIFE_S = 660
EVERY_S = 3
MEGABYTE = 1 << 20
# Room for it, and for littlefs to keep what it replaces.
BLOCKS = 300
# Pulses that a start, and the end of the life before, may cost.
PER_RESTART = 62 // EVERY_S + 1


def with_values(site, **values):
    return json.dumps(dict(site.document, **values))


def with_channel(site, **values):
    first, *rest = site.document["channels"]
    return with_values(site, channels=[dict(first, **values)] + rest)  # noqa: RUF005 - MicroPython has no * here


def bad(site):
    """[(text of the document, or None for a megabyte; what the status says of it)]."""
    good = json.dumps(site.document)
    return [
        # Unknown.
        (with_values(site, colour="red"), b"colour: unknown settin"),
        (with_channel(site, colour="red"), b"channels[0].colour: un"),
        # Of the wrong type.
        (with_values(site, interval_s="60"), b"interval_s: must be a "),
        ("[]", b"must be an object with"),
        # Out of range.
        (with_values(site, history_bytes=37), b"history_bytes: must be"),
        (with_values(site, interval_s=420), b"interval_s: 420 is not"),
        # Contradictory.
        (with_channel(site, pin=5), b"channels: two sensors "),
        # Cut off.
        (good[: len(good) // 2], b"is not JSON"),
        (good[:-1], b"is not JSON: brackets "),
        ("", b"is not JSON"),
        # Bytes of an erased or a foreign flash.
        (b"\xff\xfe\x00" * 40, b"is not UTF-8"),
        (None, b"longer than 4096 bytes"),
    ]


def put(text):
    with open("settings.json", "wb") as file:
        if text is None:
            while file.tell() < MEGABYTE:
                file.write(b" " * 4096)
        else:
            file.write(text)


def test_each_bad_document_is_refused_told_and_costs_no_count_until_a_good_one_comes():
    site = Managed(unix=MIDNIGHT - 600, interval_s=60, uplink_offset_s=10)
    site.flash = Flash(BLOCKS)
    site.flash.format()
    site.write(site.document)
    site.pulses(4, EVERY_S, 100 * LIFE_S)
    site.run(LIFE_S)
    in_force = site.statuses()[-1].health.config_hash
    for restarts, (text, told) in enumerate(bad(site), 1):
        put(text)
        begun, reported = site.now(), len(site.counts())
        site.run(begun + LIFE_S)
        at, said = [(at, frame) for at, frame in site.frames(ports.STATUS) if frame.health][-1]
        assert at > begun
        assert said.health.crash == b"settings: " + told, said.health.crash
        assert said.state & state.FAULT
        assert said.health.config_hash == in_force
        assert site.node.settings["interval_s"] == 60
        assert len(site.counts()) >= reported + LIFE_S // 60 - 2
        lost = fake_machine.pulses[4] - site.counts()[-1].totals[0]
        assert 0 <= lost <= (restarts + 1) * PER_RESTART, (told, lost)
    assert len({frame.epoch for frame in site.statuses()}) == 1
    # The last good copy is damaged too, but the document is good again.
    site.write(dict(site.document, history_bytes=20))
    with open("state/settings.json", "wb") as file:
        file.write(b"\xff" * 80)
    site.run(site.now() + LIFE_S)
    said = site.statuses()[-1]
    assert not said.state & state.FAULT
    assert site.node.settings["history_bytes"] == 20
    with open("state/settings.json") as file:
        assert json.loads(file.read()) == site.in_force()
