"""MicroPython's side of test_vectors.py: `micropython check_vectors.py FILE.json …` prints `{"checked": n, "wrong": […]}`.

Runs on CPython too, which shows that the check itself is the same on both.
"""

import json
import sys

from zaehlwerk_protocol import cbor, frames
from zaehlwerk_protocol.errors import FrameError
from zaehlwerk_protocol.frame import Frame


def plain(value):
    """`value` as JSON has it: arrays as lists, bytes as hexadecimal text, frames as tables."""
    if isinstance(value, Frame):
        return {name: plain(getattr(value, name)) for name in value.FIELDS}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    # MicroPython's b"".hex() is b"".
    return (value.hex() or "") if isinstance(value, bytes) else value


def from_plain(value):
    """The inverse, but for frames: neither frames nor CBOR of this protocol hold text, so text is bytes."""
    if isinstance(value, list):
        return tuple([from_plain(item) for item in value])
    return bytes.fromhex(value) if isinstance(value, str) else value


def built(port, fields):
    """The frame of a vector's `fields`, made by its constructor."""
    arguments = {name: from_plain(value) for name, value in fields.items() if name != "health"}
    if fields.get("health") is not None:
        from zaehlwerk_protocol.health import Health

        health = {name: from_plain(value) for name, value in fields["health"].items()}
        arguments["health"] = Health(**health)
    return frames.BY_PORT[port](**arguments)


def valid_is_wrong(port, vector):
    """What is wrong with a valid vector, or None: it is read as written, and written as read."""
    data = bytes.fromhex(vector["hex"])
    if port is None:
        value = cbor.decode(data)
        if plain(value) != vector["value"]:
            return f"read as {value}"
        again = cbor.encode(from_plain(vector["value"]))
    else:
        frame = frames.decode(port, data)
        if plain(frame) != vector["fields"]:
            return f"read as {frame}"
        if frame != built(port, vector["fields"]):
            return "not equal to the frame built from its fields"
        again = built(port, vector["fields"]).encode()
    return None if again == data else f"written as {again.hex()}"


def invalid_is_wrong(port, vector):
    """What is wrong with an invalid vector, or None: it is refused with the one named error."""
    data = bytes.fromhex(vector["hex"])
    try:
        value = cbor.decode(data) if port is None else frames.decode(port, data)
    except FrameError:
        return None
    return f"accepted as {value}"


def check(path):
    """(number of vectors checked, [what is wrong]) of one file."""
    with open(path) as file:  # noqa: PTH123 - MicroPython has no pathlib
        content = json.load(file)
    wrong = []
    for kind, judge in (("valid", valid_is_wrong), ("invalid", invalid_is_wrong)):
        for vector in content[kind]:
            try:
                found = judge(content["port"], vector)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
                found = f"{type(error).__name__}: {error}"
            if found:
                wrong.append(f"{content['frame']}, {kind}, {vector['name']}: {found}")
    return len(content["valid"]) + len(content["invalid"]), wrong


def main(paths):
    results = [check(path) for path in paths]
    wrong = [text for _, texts in results for text in texts]
    print(json.dumps({"checked": sum([number for number, _ in results]), "wrong": wrong}))


main(sys.argv[1:])
