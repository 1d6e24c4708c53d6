"""What a channel counts and which way: codes on the air, names in settings, tags and messages.

A status frame carries one byte per channel, class code << 4 | direction code. Codes from 6 (class) or 4 (direction) on are
not assigned: a reader takes them for "unknown".
"""

CLASSES = ("unknown", "kfz", "bicycle", "pedestrian", "heavy", "light")
"""Names by code. kfz: any motor vehicle; heavy and light: Schwerverkehr and Personenverkehr, told apart by the sensor."""
DIRECTIONS = ("unknown", "in", "out", "both")
"""Names by code. in: into the town."""


def class_code(name: str) -> int:
    """Return the code of a class; ValueError names the classes there are."""
    return _code(CLASSES, name, "class")


def direction_code(name: str) -> int:
    """Return the code of a direction; ValueError names the directions there are."""
    return _code(DIRECTIONS, name, "direction")


def class_name(code: int) -> str:
    """Return a class's name; one that this version does not know is "unknown"."""
    return CLASSES[code] if 0 <= code < len(CLASSES) else CLASSES[0]


def direction_name(code: int) -> str:
    """Return a direction's name; one that this version does not know is "unknown"."""
    return DIRECTIONS[code] if 0 <= code < len(DIRECTIONS) else DIRECTIONS[0]


def _code(names: tuple[str, ...], name: str, what: str) -> int:
    if name not in names:
        raise ValueError(f"{what} {name!r}: not one of {', '.join(names)}")
    return names.index(name)
