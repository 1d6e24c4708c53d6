"""Short names: a program does the same with them, and nothing that others may ask for by its name gets one."""

from __future__ import annotations

import io
import subprocess
import tokenize
from contextlib import redirect_stdout

import pytest

from tools.tests.simulator.small_city import ROOT
from zaehlwerk_tools.micropython_program import find_micropython
from zaehlwerk_tools.short_names import EVERYWHERE, Names, short_names, shortened
from zaehlwerk_tools.simulator.firmware_tree import build_tree, names_of

FIRMWARE, PROTOCOL = ROOT / "firmware", ROOT / "protocol" / "zaehlwerk_protocol"
STUBS = ROOT / ".runtime" / "stubs"


def names(source: str, spoken_to: str = "", foreign: str = "") -> dict[str, str]:
    sources = {"room/counter.py": source, "main.py": spoken_to}
    return flat(short_names(sources, ["main.py"], [foreign]))


def flat(by_file: Names) -> dict[str, str]:
    return {name: new for names in by_file.values() for name, new in names.items()}


def test_every_kind_of_own_name_gets_a_short_one_and_private_ones_stay_private() -> None:
    source = """
LONGEST_PAUSE = 5
_private_pause = 6

def interval_of(moment_ms, *, rounded_up=False):
    shifted_by = moment_ms
    return shifted_by

class Ring:
    def __init__(self):
        self.newest_record = None
        self._oldest_record = None
"""
    got = names(source)
    public = {"LONGEST_PAUSE", "interval_of", "moment_ms", "rounded_up", "shifted_by", "newest_record"}
    assert set(got) == public | {"_private_pause", "_oldest_record"}
    assert len(set(got.values())) == len(got)
    for old, new in got.items():
        assert new.startswith("_") == old.startswith("_")
        assert len(new) < len(old)


@pytest.mark.parametrize(
    ("kept", "source"),
    [
        ("append", "class Ring:\n    def append(self): pass"),
        ("ticks_ms", "def ticks_ms(): pass"),
        ("station", "station = 1\nx = getattr(y, 'station')"),
        ("revision", "revision = 1\nx = 'room.revision'"),
        ("station", "station = 1\nx = f'{station} is there'"),
        ("Ring", "class Ring: pass"),
        ("counter", "counter = 1"),
        ("room", "room = 1"),
        ("__eq__", "class Ring:\n    def __eq__(self, other): pass"),
        ("i", "for i in x: pass"),
        ("checked", "__all__ = ('checked',)\ndef checked(): pass"),
    ],
)
def test_a_name_that_may_be_asked_for_by_others_stays(kept: str, source: str) -> None:
    assert kept not in names(source)


def test_a_name_that_main_or_a_stand_in_uses_stays() -> None:
    source = "def run_node(): pass\ndef readfrom_chip(): pass\ndef run_ring(): pass"
    got = names(source, spoken_to="run_node()", foreign="bus.readfrom_chip()")
    assert set(got) == {"run_ring"}


def test_a_new_name_is_nobodys_yet() -> None:
    taken = "\n".join(f"{letter} = 1" for letter in "abcdefgh")
    assert not set(names(f"{taken}\nlong_name = 1\nx = 'i j k'").values()) & set("abcdefghijk")


def test_arguments_and_public_names_that_one_file_alone_uses_may_be_those_of_another_file() -> None:
    one = "LONGEST_PAUSE = 1\ndef first(moment_ms):\n    return moment_ms"
    other = "def second(rounded_up, whole_value):\n    return rounded_up"
    third = "from one import LONGEST_PAUSE\ndef fourth(another_value):\n    return first(another_value)"
    got = short_names({"one.py": one, "other.py": other, "third.py": third}, [], [])
    shared = got["other.py"]["rounded_up"], got["other.py"]["second"], got["other.py"]["whole_value"]
    assert got["one.py"]["moment_ms"] in shared
    assert got["third.py"]["another_value"] in shared
    assert got[EVERYWHERE]["LONGEST_PAUSE"] not in shared
    assert got[EVERYWHERE]["first"] not in shared


def test_a_public_name_that_another_file_reaches_on_an_object_is_no_other_name_there() -> None:
    one = "class One:\n    def __init__(self):\n        self.first_value = 1"
    other = "def more(it):\n    it.third_value = 1"
    got = flat(short_names({"one.py": one, "other.py": other}, [], []))
    assert got["first_value"] != got["third_value"]


def test_private_names_of_files_that_have_nothing_to_do_with_each_other_may_be_the_same() -> None:
    one = "class One:\n    def __init__(self):\n        self._first_value = self._second_value = 1"
    other = "class Other:\n    def __init__(self):\n        self._third_value = self._fourth_value = 1"
    got = short_names({"one.py": one, "other.py": other}, [], [])
    assert len(got["one.py"]) == len(got["other.py"]) == 2
    assert set(got["one.py"].values()) == set(got["other.py"].values())
    assert len(set(got["one.py"].values())) == 2


@pytest.mark.parametrize(
    "other",
    [
        "from one import One\nclass Other(One):\n    def more(self):\n        self._third_value = 1",
        "import one\nclass Other(one.One):\n    def more(self):\n        self._third_value = 1",
        "def more(it):\n    it._third_value = 1",
        "def more(it):\n    it.first()._third_value = 1",
    ],
)
def test_private_names_that_one_object_may_have_are_different(other: str) -> None:
    one = "class One:\n    def __init__(self):\n        self._first_value = 1"
    got = flat(short_names({"one.py": one, "other.py": other}, [], []))
    assert got["_first_value"] != got["_third_value"]


def test_a_private_name_that_two_files_use_is_the_same_in_both_and_no_other_is() -> None:
    one = "class One:\n    def __init__(self):\n        self._first_value = self._second_value = 1"
    other = "def more(it):\n    it._first_value = 1\n_third_value = []"
    got = short_names({"one.py": one, "other.py": other}, [], [])
    assert got[EVERYWHERE]["_first_value"] not in {
        got["one.py"]["_second_value"],
        got["other.py"]["_third_value"],
    }


PROGRAM = '''
"""A program of all that code does with names."""
_FACTOR = 3

class Base:
    def __init__(self, first_value, *, second_value=2):
        self._hidden_value = first_value
        self.shown_value = second_value

    def combined_value(self):
        """combined_value is said here, and _hidden_value."""
        return self._hidden_value * _FACTOR + self.shown_value  # shown_value

class Derived(Base):
    def __init__(self, first_value):
        super().__init__(first_value, second_value=first_value + 1)
        self._another_value = lambda offset_value=4: offset_value + self.shown_value

    @property
    def whole_value(self):
        return self.combined_value() + self._another_value(offset_value=5)

def outer_function(outer_value):
    inner_value = 0
    def inner_function():
        nonlocal inner_value
        inner_value += outer_value
        return [item_value * inner_value for item_value in range(outer_value)]
    return inner_function

made = Derived(7)
print(made.whole_value, outer_function(3)(), f"{made.shown_value!r} {_FACTOR}", "%(key_value)s" % {"key_value": 1})
made.shown_value += 1; print(getattr(made, "combined_value")(), hasattr(made, "whole_value"))
'''


def test_a_program_does_the_same_with_short_names_line_for_line() -> None:
    got = names(PROGRAM)
    short = shortened(PROGRAM, "program.py", {EVERYWHERE: got})
    assert {"_hidden_value", "second_value", "inner_function", "offset_value", "item_value"} <= set(got)
    assert short.count("\n") == PROGRAM.count("\n")
    outputs = []
    for text in (PROGRAM, short):
        with redirect_stdout(io.StringIO()) as out:
            exec(compile(text, "program", "exec"), {})
        outputs.append(out.getvalue())
    assert outputs[0] == outputs[1]
    assert "_hidden_value is said here" not in short
    assert '"""combined_value is said here, and _hidden_value."""' in short


@pytest.fixture(scope="module")
def of_the_node(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return flat(names_of(build_tree(FIRMWARE, PROTOCOL, tmp_path_factory.mktemp("names"))))


def test_the_nodes_names_are_mostly_short(of_the_node: dict[str, str]) -> None:
    assert len(of_the_node) > 600
    assert {"_transaction", "closed_at"} <= set(of_the_node)


def test_no_name_of_the_node_that_gets_a_short_one_is_known_to_micropython(
    of_the_node: dict[str, str],
) -> None:
    """What is in the interpreter's own table of names may be asked for by it; asking for it makes no new entry there."""
    script = (
        "import asyncio, binascii, cryptolib, hashlib, io, json, micropython, os, random, re, struct, sys, time\n"
        "import asyncio.core, asyncio.lock, asyncio.event, asyncio.funcs\n"
        "for line in sys.stdin:\n"
        "    print('name', line.strip())\n    micropython.qstr_info()\n    hasattr(0, line.strip())\n"
        "    micropython.qstr_info()\n"
    )
    done = subprocess.run(
        [find_micropython(ROOT, 64).path, "-c", script],
        input="\n".join(sorted(of_the_node)) + "\nsleep_ms\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    known, before, name = set(), "", ""
    for line in done.stdout.splitlines():
        if line.startswith("name "):
            name, before = line.removeprefix("name "), ""
        elif before and line == before:
            known.add(name)
        else:
            before = line
    assert known == {"sleep_ms"}


@pytest.mark.skipif(not STUBS.is_dir(), reason="MicroPython's types are not installed, run `make setup`")
def test_no_name_of_the_node_that_gets_a_short_one_is_in_micropythons_types(
    of_the_node: dict[str, str],
) -> None:
    """Of the modules that only an ESP32 has, and of those that are unlike Python's."""
    told = set()
    for module in ("cryptolib", "esp32", "machine", "micropython", "time"):
        with (STUBS / f"{module}.pyi").open("rb") as file:
            told |= {
                token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.NAME
            }
    assert "sleep_ms" in told
    assert told & set(of_the_node) == set()
