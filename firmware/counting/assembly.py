"""Makes a node's sensors from its settings. Needed once: `counting.inputs` loads and unloads it."""

from micropython import const

from counting import SensorError

# Per kind: hardware counters that it must have, and up to how many it makes use of.
COUNTERS = {
    "pulse": (1, 1),
    "contact": (0, 1),
    "presence": (0, 1),
    "direction": (0, 2),
    "tube": (0, 0),
    "radar": (0, 0),
    "absent": (0, 0),
}

# Per mille; above it a standstill would be told after a minute, or never: see `congestion.Congestion`.
_MOST = const(800)


def _make(entry, units):
    """The sensor that a channel describes; the module of its kind is loaded only here."""
    kind = entry["sensor"]
    module = getattr(__import__("counting." + kind), kind)
    return getattr(module, kind[0].upper() + kind[1:] + "Sensor")(entry, *units)


def assemble(channels, units):
    """(sensors, sources, silent_s) of the settings' channels on a board with so many hardware counters.

    sources: per channel, the number of its sensor, and of its output there, None being all of them; silent_s: per
    sensor. SensorError when a kind is unknown or the counters do not suffice. A kind that may do without one gets one
    when all that may not have theirs, in the order of the channels.
    """
    needed = 0
    for entry in channels:
        if entry["sensor"] not in COUNTERS:
            raise SensorError(
                "channel sensor %r is unknown; known: %s" % (entry["sensor"], ", ".join(sorted(COUNTERS)))
            )
        if entry.get("shares") is None:
            needed += COUNTERS[entry["sensor"]][0]
    if needed > units:
        raise SensorError(
            "%d channels need %d hardware counters, this board has %d" % (len(channels), needed, units)
        )
    spare, unit = units - needed, 0
    sensors, sources, silent_s, owners = [], [], [], {}  # type: ignore[var-annotated]
    for i, entry in enumerate(channels):
        owner = entry.get("shares")
        if owner is None:
            owner = i
            owners[i] = len(sensors)
            least, most = COUNTERS[entry["sensor"]]
            # Asleep a counter stands still: it would show less than the interrupts.
            extra = 0 if entry.get("asleep") else min(spare, most - least)
            spare -= extra
            sensors.append(_make(entry, range(unit, unit + least + extra)))
            silent_s.append(entry.get("silent_s"))
            unit += least + extra
        sources.append((owners[owner], entry.get("output")))
    return sensors, sources, silent_s


def jams(inputs, channels):
    """The Jams that the channels' settings ask for, None without any."""
    limits = {}
    for i, entry in enumerate(channels):
        if entry["class"] in ("bicycle", "pedestrian"):
            continue  # they are slow without a jam
        owner = entry if entry.get("shares") is None else channels[entry["shares"]]
        occupancy, kmh = owner.get("jam_occupancy"), owner.get("jam_kmh")
        if occupancy is not None or kmh is not None:
            limits[i] = (min(occupancy, _MOST), False) if kmh is None else (kmh * 10, True)
    if not limits:
        return None
    from counting.congestion import Jams

    return Jams(inputs, limits)
