"""The status frames of the node as it is now.

Loaded for one frame, see `modules.made`.
"""

from app import VERSION
from app.report_state import state_byte
from zaehlwerk_protocol import VERSION as PROTOCOL_VERSION


def status(node, limit):
    """(frames as bytes of at most `limit`, anchored totals or None, mapping or None, notes) of the node as it is now.

    The frames hold the totals of the last closed interval, the oldest mapping, the node's health, and what its sensors
    noted; notes are what `report_noted` takes when they have arrived.
    """
    from zaehlwerk_protocol.health import MAX_CRASH, Health
    from zaehlwerk_protocol.status import Status

    epoch, uptime = node.epoch, node.uptime()
    record = node.ring.newest(not node.intervals.live, epoch.generation)
    anchor = None if record is None else (record.index & 0xFFFF, record.totals)
    mapping = (epoch.mappings[0][0] & 0xFFFF, epoch.mappings[0][1]) if epoch.mappings else None
    health = Health(
        firmware=VERSION[0] << 16 | VERSION[1] << 8 | VERSION[2],
        boots=node.boots,
        reset_cause=node.reset_cause,
        crash=node.crash[-MAX_CRASH:] if node.crash else None,
        uptime_s=uptime // 1000,
        battery_mv=node.battery_mv,
        temperature=node.temperature,
        clock_error_ms=node.clock.error_ms(uptime),
        config_hash=node.settings["config_hash"],
        channels=node.channel_map,
    )
    interval_s = node.settings["interval_s"]
    inputs, notes = node.inputs, None
    if any(inputs.noted) or any(inputs.told) or inputs.noted_at is None:
        from app import report_noted

        notes = report_noted.notes(node, uptime)
    whole = Status(
        PROTOCOL_VERSION, state_byte(node), epoch.number, interval_s, anchor, mapping, health, notes
    )
    frames = [part.encode(limit) for part in whole.split(limit)]
    totals = record.totals if record is not None and node.intervals.live else None
    return frames, totals, mapping, (uptime, list(inputs.noted))
