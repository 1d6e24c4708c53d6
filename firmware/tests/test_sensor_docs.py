"""docs/sensors/ says of the sensors what the code does: settings, examples, constants, codes, limits, pins, links."""

from __future__ import annotations

import ast
import json
import math
import operator
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

import counting
from app import restore, settings
from counting.assembly import COUNTERS
from zaehlwerk_protocol import channel

FIRMWARE = Path(__file__).parent.parent
DOCS = FIRMWARE.parent / "docs" / "sensors"
README = DOCS / "README.md"
PAGES = {kind: DOCS / f"{kind}.md" for kind in settings.KINDS}
EVERY_PAGE = [README, *PAGES.values()]
DRAWINGS = sorted(DOCS.glob("*.svg"))
BOARD = "heltec_v3"
IDENTITY = {"dev_eui": "70b3d57ed0000001", "join_eui": "0" * 16, "app_key": "0" * 32, "board": BOARD}
SVG = "{http://www.w3.org/2000/svg}"
# Bounces of the tests at either end of a passage, see test_counting_contact_property.py.
BOUNCE_MS = 8


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def section(page: Path, heading: str) -> str:
    """What stands below a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text(page), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no section {heading}"
    return found[1]


def tables(markdown: str) -> list[list[list[str]]]:
    """The tables of a text as rows of cells, the ruler left out."""
    found: list[list[list[str]]] = []
    inside = False
    for line in markdown.splitlines():
        if line.startswith("|"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
            if not inside:
                found.append([])
            if not all(re.fullmatch(":?-+:?", cell) for cell in cells):
                found[-1].append(cells)
        inside = line.startswith("|")
    return found


def table(markdown: str, *header: str) -> list[list[str]]:
    """The rows of the one table with this header."""
    rows = [rows for rows in tables(markdown) if rows[0] == list(header)]
    assert len(rows) == 1, f"{len(rows)} tables with the header {header}"
    return rows[0][1:]


def examples(page: Path) -> list[list[dict]]:
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text(page), re.DOTALL)]


def validated(channels: list[dict]) -> list[dict]:
    return settings.validate({**IDENTITY, "channels": channels})["channels"]


OPERATORS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


@cache
def constants(module: str) -> dict[str, int | tuple[int, ...]]:
    """The whole numbers, and tuples of them, that a module of the firmware names at its top, computed from its source."""
    known: dict[str, int | tuple[int, ...]] = {}

    def value(node: ast.expr) -> int | tuple[int, ...] | None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "const":
            return value(node.args[0])
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.Name):
            return known.get(node.id)
        if isinstance(node, ast.Tuple):
            parts = [value(part) for part in node.elts]
            return tuple(part for part in parts if isinstance(part, int))
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            left, right = value(node.left), value(node.right)
            if isinstance(left, int) and isinstance(right, int):
                return OPERATORS[type(node.op)](left, right)
        return None

    for node in ast.parse((FIRMWARE / module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found = value(node.value)
            if found is not None:
                known[node.targets[0].id] = found
    return known


def constant(module: str, name: str) -> int:
    found = constants(module)[name]
    assert isinstance(found, int)
    return found


# --- pages, links, drawings


@pytest.mark.parametrize("kind", settings.KINDS)
def test_every_kind_has_a_page_with_all_that_a_technician_looks_for(kind: str) -> None:
    page = PAGES[kind]
    assert text(page).startswith(f"# {kind}: ")
    assert (FIRMWARE / "counting" / f"{kind}.py").exists()
    for heading in (
        "Wiring",
        "Electrical limits",
        "Settings",
        "How it counts",
        "Exact within",
        "What it says when they are broken",
        "What it can claim",
        "Placement",
        "Test at the pole",
    ):
        assert section(page, heading).strip()


def test_the_overview_has_a_row_for_every_kind_in_the_order_of_the_settings() -> None:
    rows = table(text(README), "kind", "for", "page")
    assert [row[0] for row in rows] == [f"`{kind}`" for kind in settings.KINDS]
    assert [row[2] for row in rows] == [f"[{kind}.md]({kind}.md)" for kind in settings.KINDS]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", text(page))
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_every_page_shows_its_own_drawing_and_says_what_is_on_it(page: Path) -> None:
    images = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text(page))
    own = "input.svg" if page == README else f"{page.stem}.svg"
    assert [name for _, name in images] == [own]
    assert all(len(words) > 20 for words, _ in images)


def test_no_drawing_is_left_over() -> None:
    assert {path.name for path in DRAWINGS} == {"input.svg", *(f"{kind}.svg" for kind in settings.KINDS)}


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda path: path.name)
def test_a_drawing_is_sound_xml_with_a_title_and_a_description_and_needs_nothing_else(drawing: Path) -> None:
    root = ET.fromstring(text(drawing))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert desc is not None
    assert (title.text or "").strip()
    assert len((desc.text or "").split()) > 10
    assert (root.get("aria-labelledby") or "").split() == [title.get("id"), desc.get("id")]
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    for node in root.iter():
        target = node.get("href")
        assert target is None or (target.startswith("#") and target[1:] in ids)
        assert node.tag not in (f"{SVG}image", f"{SVG}script")


@pytest.mark.parametrize("kind", settings.KINDS)
def test_pins_of_wiring_table_and_drawing_are_those_of_an_example(kind: str) -> None:
    page = PAGES[kind]
    wired = re.findall(r"GPIO (\d+) \(`(\w+)`\)", section(page, "Wiring"))
    assert wired
    used = [entry for channels in examples(page) for entry in channels]
    for number, name in wired:
        assert any(entry.get(name) == int(number) for entry in used), f"{name} {number}"
    drawn = set(re.findall(r"GPIO (\d+)", text(DOCS / f"{kind}.svg")))
    assert drawn
    assert drawn <= {number for number, _ in wired}


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_every_electrical_figure_says_where_it_is_from(page: Path) -> None:
    heading = "Electrical limits of an input" if page == README else "Electrical limits"
    rows = [
        row
        for rows in tables(section(page, heading))
        for row in rows[1:]
        if rows[0] == ["figure", "value", "from"]
    ]
    assert rows or "[presence](presence.md#electrical-limits)" in section(page, heading)
    for row in rows:
        assert len(row) == 3
        assert all(row), row


def test_pages_that_the_code_refers_to_exist() -> None:
    sources = [*FIRMWARE.glob("counting/*.py"), *FIRMWARE.glob("tests/test_*.py")]
    named = {page for path in sources for page in re.findall(r"docs/sensors/(\w+\.(?:md|svg))", text(path))}
    assert len(named) > 4
    assert {page for page in named if not (DOCS / page).exists()} == set()


# --- settings


def rows_of(kind: str) -> list[tuple]:
    return [row for row in settings.CHANNEL_TABLE if kind in row[5]]


@pytest.mark.parametrize("kind", settings.KINDS)
def test_each_setting_of_a_kind_is_explained_in_its_page_with_limits_and_default(kind: str) -> None:
    documented = table(section(PAGES[kind], "Settings"), "setting", "value", "default", "what to choose")
    assert [row[0] for row in documented] == [f"`{row[0]}`" for row in rows_of(kind)]
    for (_, value, shown, advice), row in zip(documented, rows_of(kind), strict=True):
        name, sort, limit, default = row[:4]
        if default is settings.REQUIRED:
            assert shown == "required", name
        else:
            assert shown == ("null" if default is None else str(default)), name
        if sort == settings.CHOICE:
            assert value == ", ".join(limit), name
        else:
            null = " or null" if sort == settings.OPTIONAL else ""
            assert value == f"{limit[0]}…{limit[1]}{null}", name
        assert len(advice) > 5, name


EXAMPLES = [(kind, i) for kind in settings.KINDS for i in range(len(examples(PAGES[kind])))]


def test_every_kind_has_examples_and_the_json_of_the_pages_is_nothing_else() -> None:
    assert {kind for kind, _ in EXAMPLES} == set(settings.KINDS)
    assert not examples(README)


@pytest.mark.parametrize(("kind", "number"), EXAMPLES)
def test_every_example_is_accepted_by_the_firmware(kind: str, number: int) -> None:
    channels = examples(PAGES[kind])[number]
    entries = validated(channels)
    assert len(entries) == len(channels)
    assert {entry["sensor"] for entry in entries} == {kind}


def free_pins() -> set[int]:
    """The board's pins that its README calls free."""
    readme = text(FIRMWARE / "boards" / "README.md")
    row = next(
        row for rows in tables(readme) if "free pins" in rows[0] for row in rows if row[1] == f"`{BOARD}`"
    )
    return {int(number) for number in re.findall(r"\d+", row[4])}


@pytest.mark.parametrize(("kind", "number"), EXAMPLES)
def test_every_example_has_pins_and_counters_of_the_board_that_it_is_for(kind: str, number: int) -> None:
    entries = validated(examples(PAGES[kind])[number])
    pins = {
        entry[name] for entry in entries for name in ("pin", "pin_b", "tx_pin", "ok_pin") if name in entry
    }
    assert pins - {None} <= free_pins()
    needed = sum(COUNTERS[entry["sensor"]][0] for entry in entries if entry.get("shares") is None)
    assert needed <= constant(f"boards/{BOARD}.py", "PCNT_UNITS")
    assert f"board `{BOARD}`" in text(README)


def accepts(kind: str, name: str) -> bool:
    """Whether any channel of such a sensor may have this class."""
    entry = {"class": name, "sensor": kind, "pin": 4}
    if kind in ("direction", "tube"):
        entry["pin_b"] = 5
    if kind == "tube":
        entry["distance_mm"] = 500
    layouts = [[entry]]
    if kind == "tube":
        given = {"motor_ab": "kfz", "motor_ba": "kfz", "bicycle_ab": "bicycle", "bicycle_ba": "bicycle"}
        layouts += [
            [
                {"class": name if output == asked else given.get(output, "unknown"), "output": output}
                | ({"shares": 0} if i else {key: entry[key] for key in entry if key != "class"})
                for i, output in enumerate(settings.OUTPUTS["tube"])
            ]
            for asked in settings.OUTPUTS["tube"]
        ]
    for channels in layouts:
        try:
            validated(channels)
        except settings.SettingsError:
            continue
        return True
    return False


def test_the_comparison_claims_the_classes_that_the_settings_accept_and_no_other() -> None:
    rows = {
        row[0].strip("`"): row
        for rows in tables(section(README, "What they see"))
        for row in rows[1:]
        if "classes" in rows[0]
    }
    assert list(rows) == list(settings.KINDS)
    for kind, row in rows.items():
        assert row[1] == ", ".join(name for name in channel.CLASSES if accepts(kind, name)), kind
        least, most = COUNTERS[kind]
        assert row[6] == {(1, 1): "1, must", (0, 0): "0"}.get((least, most), f"{least} to {most}"), kind
        assert row[7] == str(len(settings.OUTPUTS.get(kind, "1"))), kind
        assert ("2" in row[2]) == ("heavy" in row[1]), kind
        assert (row[4] == "yes") == ("jam_kmh" in [name[0] for name in rows_of(kind)]), kind
        assert (row[5] == "yes") == ("jam_occupancy" in [name[0] for name in rows_of(kind)]), kind


# --- constants, limits, codes

UNITS = {"km/h": Decimal(10), "m": Decimal(1000)}


def in_the_code(shown: str, name: str) -> Decimal:
    """A value as people write it, in the unit of the constant."""
    found = re.match(r"([\d,.]+) ?(\S*)", shown)
    assert found, shown
    number = Decimal(found[1].replace(",", ""))
    unit = found[2]
    if unit in ("s", "h"):
        return number * {"s": 1, "h": 3600}[unit] * {"MS": 1000, "US": 1_000_000}[name[-2:]]
    return number * UNITS.get(unit, Decimal(1))


CONSTANTS = [
    (page.stem, shown, quoted)
    for page in EVERY_PAGE
    for rows in tables(text(page))
    if rows[0] == ["rule", "value", "in the code"]
    for _, shown, quoted in rows[1:]
]


def test_every_page_quotes_constants() -> None:
    assert {page for page, _, _ in CONSTANTS} == {"README", *settings.KINDS}


@pytest.mark.parametrize(("page", "shown", "quoted"), CONSTANTS)
def test_a_constant_that_a_page_quotes_has_this_value_in_the_code(page: str, shown: str, quoted: str) -> None:
    found = re.fullmatch(r"`(\w+)` = (\d+), `([\w/]+\.py)`", quoted)
    assert found, f"{page}: {quoted}"
    name, number, module = found[1], int(found[2]), found[3]
    assert constant(module, name) == number
    assert in_the_code(shown, name) == number


def test_the_reading_of_constants_does_not_take_one_for_another() -> None:
    axles = constants("counting/axles.py")
    assert axles["UNSURE_US"] == 7500 * 36000 // 100
    assert axles["CAR_MM"] == (2000, 3400)
    assert in_the_code("2.7 s", "UNSURE_US") == 2_700_000
    assert in_the_code("45 km/h", "FAST") == 450
    assert in_the_code("1,300 mm", "BICYCLE_MM") == 1300


def test_all_constants_by_which_axles_are_grouped_are_in_the_page() -> None:
    quoted = set(re.findall(r"`([A-Z_]+)`", section(PAGES["tube"], "How it counts")))
    assert set(constants("counting/axles.py")) - {"UNIT", "_UNKNOWN"} <= quoted | {"_ROOM"}
    low, high = constants("counting/axles.py")["CAR_MM"]  # type: ignore[misc]
    assert f"{low:,} to {high:,} mm apart (`CAR_MM`)" in text(PAGES["tube"])


def test_the_stall_that_the_settings_allow_for_is_that_of_the_debouncing() -> None:
    stall = constant("counting/debounce.py", "STALL_MS")
    assert constant("app/settings.py", "_STALL_MS") == stall
    assert f"at least `debounce_ms` + {stall}" in text(PAGES["contact"])


def test_the_stated_rates_follow_from_the_code() -> None:
    minute = constant("app/recorder.py", "SNAPSHOT_MS")
    defaults = {row[0]: row[3] for row in settings.CHANNEL_TABLE}
    shortest = BOUNCE_MS + defaults["debounce_ms"] + 1 + defaults["gap_ms"] + 1
    rates = {
        "pulse": f"{constant('counting/inputs.py', '_TOO_MANY') * 1000 // minute} a second",
        "contact": f"{1000 // shortest} a second",
        "presence": f"{1000 // shortest} a second",
        "direction": f"{constant('counting/direction.py', '_ROOM') // 4} crossings",
        "tube": f"{constant('counting/tube.py', '_ROOM') // 4} cars",
        "radar": f"{constant('counting/radar.py', '_ROOM')} passages",
    }
    rows = table(
        section(README, "What they see"),
        "kind",
        "exact as long as",
        "maximum rate",
        "usual loss beyond the limits",
    )
    assert [row[0] for row in rows] == [f"`{kind}`" for kind in rates]
    for (_, _, shown, _), rate in zip(rows, rates.values(), strict=True):
        assert shown.startswith(rate)
    for kind, rate in rates.items():
        if kind != "tube":
            assert rate.split()[0] in section(
                PAGES["contact" if kind == "presence" else kind], "Exact within"
            )


def codes() -> dict[str, int]:
    source = constants("counting/__init__.py")
    return {
        name: number
        for name, number in source.items()
        if name not in ("TICKS", "SUMS", "FAULTS") and isinstance(number, int)
    }


def test_the_overview_lists_all_notes_and_faults_with_their_numbers() -> None:
    rows = table(section(README, "Notes and faults"), "code", "number", "kind", "what")
    assert {row[0].strip("`"): int(row[1]) for row in rows} == codes()
    for name, number, sort, _ in rows:
        assert (sort == "fault") == bool(int(number) & counting.FAULTS), name
        assert sort in ("fault", "note")


def test_in_safe_mode_only_those_sensors_are_started_that_the_overview_names() -> None:
    channels = [{"sensor": kind} for kind in settings.KINDS]
    restore.leave_out(channels, restore.PLAIN)
    assert [entry["sensor"] for entry in channels if entry["sensor"] != "absent"] == [
        "pulse",
        "contact",
        "presence",
    ]
    prose = " ".join(text(README).split())
    assert (
        "In safe mode only `pulse`, `contact` and `presence` sensors are started, as far as they can be; the channels of all"
        " others say `NO_SIGNAL`" in prose
    )
    assert "NO_SIGNAL" in imported("absent")


def imported(kind: str) -> set[str]:
    """The codes that a kind's modules can give, from what they import; `Inputs` tells SILENT of all, and CHATTER of pulses."""
    seen, names, modules = set(), {"SILENT"} | ({"CHATTER"} if kind == "pulse" else set()), [kind]
    while modules:
        module = modules.pop()
        if module in seen:
            continue
        seen.add(module)
        tree = ast.parse((FIRMWARE / "counting" / f"{module}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "counting":
                names |= {alias.name for alias in node.names}
                modules += [part for part in (node.module or "").split(".")[1:] if part != "sensor"]
    return names & set(codes())


@pytest.mark.parametrize("kind", settings.KINDS)
def test_a_page_explains_the_codes_that_its_kind_can_give_and_no_other(kind: str) -> None:
    rows = table(section(PAGES[kind], "What it says when they are broken"), "code", "when", "what to do")
    named = [row[0].strip("`") for row in rows]
    assert len(set(named)) == len(named)
    assert set(named) == imported(kind)


# --- tables that can be computed


def test_the_traffic_that_the_tube_page_promises_is_that_of_the_property_test() -> None:
    source = (Path(__file__).parent / "test_counting_tube_property.py").read_text(encoding="utf-8")
    promised = next(
        ast.literal_eval(call.args[1])
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and len(call.args) == 2
        and isinstance(call.args[0], ast.Tuple)
        and [part.value for part in call.args[0].elts if isinstance(part, ast.Constant)]
        == ["per_hour", "both_ways", "least", "unknown"]
    )
    rows = table(
        text(PAGES["tube"]),
        "vehicles an hour and direction",
        "both directions",
        "counted, at least",
        "of these unknown, at most",
    )
    shown = [
        (int(row[0]), row[1] == "yes", *(Decimal(cell.removesuffix(" %")) / 100 for cell in row[2:]))
        for row in rows
    ]
    assert shown == [(a, b, Decimal(str(c)), Decimal(str(d))) for a, b, c, d in promised]


def test_the_errors_of_speed_at_the_tubes_are_those_of_an_interrupt_that_is_late() -> None:
    rows = table(text(PAGES["tube"]), "distance", "20 km/h", "50 km/h", "100 km/h")
    late_s = 0.0002
    for distance, *errors in rows:
        metres = int(distance.removesuffix(" mm").replace(",", "")) / 1000
        for kmh, error in zip((20, 50, 100), errors, strict=True):
            transit = metres / (kmh / 3.6)
            assert error == f"{100 * late_s / (transit - late_s):.1f} %"


def cosine_error(degrees: float) -> str:
    return f"{100 * (1 - math.cos(math.radians(degrees))):.1f} %"


def test_the_errors_of_a_radar_at_an_angle_are_those_of_the_cosine() -> None:
    page = text(PAGES["radar"])
    for angle, error in table(page, "angle", "it reads low by"):
        assert error == cosine_error(float(angle.removesuffix("°")))
    assert "3 m high, 4 m beside the lane's middle, so 5 m off the line" in page
    for ahead, angle, error in table(page, "vehicle ahead", "angle", "it reads low by"):
        degrees = math.degrees(math.atan2(math.hypot(3, 4), int(ahead.removesuffix(" m"))))
        assert angle == f"{degrees:.1f}°"
        assert error == cosine_error(degrees)


def test_the_occupancies_of_a_lane_are_traffic_times_length_by_speed() -> None:
    assert "600 vehicles an hour of 4.5 m over a loop of 2 m" in text(PAGES["presence"])
    for speed, occupancy in table(text(PAGES["presence"]), "speed", "occupancy"):
        if speed != "standing":
            kmh = int(speed.removesuffix(" km/h"))
            assert occupancy == f"{round(600 * (4.5 + 2) / (kmh * 1000) * 1000)} per mille"


def test_what_is_sent_to_the_radar_is_what_the_page_says() -> None:
    source = (FIRMWARE / "counting" / "radar.py").read_text(encoding="utf-8")
    sent = re.search(r"_SET_UP = (\{.*\})", source)
    assert sent
    for unit, commands in ast.literal_eval(sent[1]).items():
        assert f"`{commands.decode()}`" in text(PAGES["radar"])
        assert unit in next(row[2] for row in settings.CHANNEL_TABLE if row[0] == "unit")
    offered = re.search(r"`I1` to `I5`\): ([\d, ]+) or (\d+)", text(PAGES["radar"]))
    assert offered
    low, high = next(row[2] for row in settings.CHANNEL_TABLE if row[0] == "baud")
    assert all(low <= int(baud) <= high for baud in [*offered[1].split(", "), offered[2]])


@pytest.mark.parametrize("kind", ["direction", "tube"])
def test_the_script_prints_the_outputs_in_the_order_that_the_page_names(kind: str) -> None:
    assert f"[{', '.join(settings.OUTPUTS[kind])}]" in section(PAGES[kind], "Test at the pole")


POLE = """
import sys
sys.path[:0] = sys.argv[1:]
from world import install, world
install()
import json, machine, time
import fake_machine
class Nothing:
    pass
sys.modules["esp32"] = Nothing
machine.ADC = machine.SPI = None
time.sleep = lambda s: time.sleep_ms(1000 * s)
def pulse():
    fake_machine.pulses[PIN] = fake_machine.pulses.get(PIN, 0) + 1
PIN = %d
for second in range(0, 60, 2):
    world.at(second * 1000000 + 500000, pulse)
with open("settings.json", "w") as file:
    file.write(%r)
import os
os.mkdir("state")
"""


def test_the_script_for_the_pole_runs_and_counts(
    tmp_path: Path, run_on_micropython: Callable[[str, str], str]
) -> None:
    """On MicroPython with a fake chip: a pulse every other second is half a pulse a second."""
    scripts = re.findall(r"```python\n(.*?)```", section(README, "Test at the pole"), re.DOTALL)
    assert len(scripts) == 1
    channels = examples(PAGES["pulse"])[1]
    document = json.dumps({**IDENTITY, "channels": channels})
    script = tmp_path / "pole.py"
    script.write_text(POLE % (channels[0]["pin"], document) + scripts[0], encoding="utf-8")
    first, *lines = run_on_micropython("64", str(script)).splitlines()
    assert first == "settings are good"
    assert lines == ["[1, 0] [0, 0]", "[0, 0] [0, 0]"] * 30
