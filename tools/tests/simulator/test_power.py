"""Power cuts, resets and the watchdog: what a board keeps and what it forgets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tools.tests.simulator.small_city import START_NS, City
from zaehlwerk_tools.simulator.board_spec import BoardError, FlashCut, PowerCut
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.scheduler import NS

JOURNAL = """
import machine, time
rtc = machine.RTC()
print("boot", machine.reset_cause(), time.ticks_ms() < 50, rtc.memory(), time.time() > 1000)
{then}
"""


def boot_lines(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("boot")]


def test_power_goes_off_in_time_and_comes_back(city: City) -> None:
    """A cut ends the program between two lines without `finally`; RTC memory and the time of day are gone."""
    board = city.add(
        JOURNAL.format(
            then="""
rtc.memory(b"kept?")
rtc.datetime((2026, 6, 18, 0, 0, 0, 0, 0))
try:
    for i in range(100):
        time.sleep(1)
        print(i, time.ticks_ms())
finally:
    print("finally")
"""
        ),
        power_cuts=(PowerCut(START_NS + 5_500_000_000, START_NS + 20 * NS),),
    )
    lines = city.run(22.2)
    assert boot_lines(lines) == ["boot 1 True b'' False"] * 2
    assert lines[1:6] == [f"{i} {(i + 1) * 1000}" for i in range(5)]
    assert lines[6:9] == ["boot 1 True b'' False", "0 1000", "1 2000"]
    assert [(r.at_ns, r.cause, r.boot_ns) for r in board.resets] == [
        (START_NS + 5_500_000_000, "power", START_NS + 20 * NS)
    ]


@pytest.mark.parametrize(
    ("how", "cause", "seconds"),
    [
        ("machine.reset()", 2, 0.3),
        ("machine.soft_reset()", 5, 0.3),
        ("machine.deepsleep(5000)", 4, 5.3),
        ("machine.WDT(timeout=3000)\n    time.sleep(60)", 3, 3.3),
    ],
)
def test_a_reset_keeps_rtc_memory_and_time(city: City, how: str, cause: int, seconds: float) -> None:
    board = city.add(
        JOURNAL.format(
            then=f"""
if machine.reset_cause() == 1:
    rtc.memory(b"kept")
    rtc.datetime((2026, 6, 18, 0, 0, 0, 0, 0))
    {how}
print(time.gmtime()[3:6])
"""
        )
    )
    lines = city.run(60)
    assert boot_lines(lines)[1] == f"boot {cause} True b'kept' True"
    rebooted_ns = board.resets[0].boot_ns
    assert rebooted_ns is not None
    assert (rebooted_ns - START_NS) / NS == pytest.approx(seconds, abs=0.1)
    assert lines[2] == f"(0, 0, {int(seconds)})"


def test_a_fed_watchdog_stays_quiet_and_a_hungry_one_bites_in_time(city: City) -> None:
    board = city.add(
        "import machine, time\nif machine.reset_cause() == 3:\n    print('bitten')\n    raise SystemExit\n"
        "w = machine.WDT(timeout=8000)\n"
        "for i in range(10):\n    time.sleep(5)\n    w.feed()\nprint('fed')\nt = time.ticks_ms()\n"
        "while True: time.ticks_us()"
    )
    assert city.run(100) == ["fed", "bitten"]
    assert board.resets[0].cause == "WATCHDOG"
    assert (board.resets[0].at_ns - START_NS) / NS == pytest.approx(58.0, abs=0.01)


def test_rtc_memory_holds_2048_bytes_and_no_more(city: City) -> None:
    city.add(
        "import machine\nr = machine.RTC()\ndata = bytes(range(256)) * 8\nr.memory(data)\nprint(r.memory() == data)\n"
        "r.memory(b'short')\nprint(r.memory())\n"
        "try:\n    r.memory(b'x' * 2049)\nexcept ValueError as e:\n    print(e)"
    )
    assert city.run(10) == ["True", "b'short'", "buffer too long"]


def test_nvs_keeps_what_was_committed(city: City) -> None:
    city.add(
        """
import esp32, machine
n = esp32.NVS("zw")
b = bytearray(8)
def show():
    try:
        print(n.get_i32("a"), n.get_blob("b", b), bytes(b[:3]))
    except OSError as e:
        print(e.errno == -0x1102)
show()
if machine.reset_cause() == 1:
    n.set_i32("a", -5)
    n.set_blob("b", b"xyz")
    n.commit()
    n.set_i32("a", 6)
    n.set_i32("new", 1)
    show()
    machine.reset()
try:
    n.get_i32("b")
except OSError as e:
    print(e.errno == -0x1103)
try:
    n.get_i32("new")
except OSError as e:
    print(e.errno == -0x1102)
n.erase_key("a")
show()
"""
    )
    assert city.run(10) == ["True", "6 3 b'xyz'", "-5 3 b'xyz'", "True", "True", "True"]


WRITE = """
import os, time
try:
    with open("count") as f:
        n = int(f.read())
except OSError:
    n = 0
print("found", n, sorted(os.listdir()))
while True:
    n += 1
    with open("count.new", "w") as f:
        f.write(str(n) + " " * 300)
    os.rename("count.new", "count")
    print("wrote", n)
    time.sleep(1)
"""


@pytest.mark.parametrize("operation", range(1, 40, 3))
def test_a_cut_at_any_flash_operation_leaves_old_or_new(
    make_city: Callable[..., City], operation: int
) -> None:
    """Write new, rename: with the power cut in the middle of the n-th flash operation the file is one of both, whole."""
    city = make_city()
    board = city.add(
        WRITE, flash_cuts=(FlashCut(operation),), power_cuts=(PowerCut(START_NS + 100 * NS, None),)
    )
    lines = city.run(200)
    found = [int(line.split()[1]) for line in lines if line.startswith("found")]
    written = 0
    for line in lines[1:]:
        if line.startswith("found"):
            break
        written = int(line.split()[1])
    assert len(found) == 2
    assert found[1] in (written, written + 1)
    assert [r.cause for r in board.resets] == ["power", "power"]
    last = int(lines[-1].split()[1])
    assert city.read(board, "count") == str(last).encode() + b" " * 300


def test_the_flash_keeps_only_what_was_written(city: City) -> None:
    """An open file that was not closed is not there after a cut."""
    board = city.add(
        "import time\nf = open('open', 'w')\nf.write('x' * 10)\nwith open('closed', 'w') as g: g.write('y')\n"
        "time.sleep(100)",
        power_cuts=(PowerCut(START_NS + 10 * NS, None),),
    )
    city.run(50)
    assert city.read(board, "closed") == b"y"
    assert city.read(board, "open") in (None, b"")


def test_counters_start_again_after_a_reset(city: City) -> None:
    """Pulses while the board is off are nobody's; the hardware counter begins at 0."""
    pulses = [START_NS + n * NS + 500_000_000 for n in range(100)]
    city.add(
        "import machine, time\nc = machine.Counter(0, machine.Pin(4))\nfor _ in range(3):\n"
        "    time.sleep(1)\n    print(c.value())\ntime.sleep(100)",
        PulseInputs({4: pulses}),
        power_cuts=(PowerCut(START_NS + 10 * NS, START_NS + 20 * NS),),
    )
    assert city.run(30) == ["1", "2", "3"] * 2


def test_a_frame_that_the_power_cut_short_is_nobodys(city: City) -> None:
    city.add(
        "import asyncio\nfrom boards.heltec_v3 import radio\nasync def main():\n    await asyncio.sleep(1)\n"
        "    r = radio()\n    r.start()\n    await r.transmit(868100000, 12, 125000, 14, b'cut')\n    print('sent')\nasyncio.run(main())",
        power_cuts=(PowerCut(START_NS + 1_500_000_000, None),),
    )
    assert city.run(10) == []
    assert city.uplinks == []
    assert city.air.log[0]["lost"] == "aborted"


def test_a_cut_while_running_needs_a_bounded_head_start(city: City) -> None:
    """Who may run ahead without bound cannot be cut now; with a bound of a second the cut is exact."""
    loose = city.add("import time\ntime.sleep(100)")
    bound = city.add(
        "import time\nwhile True:\n    time.sleep_ms(100)\n    print(time.ticks_ms())", head_start_ns=NS
    )

    def cut() -> None:
        with pytest.raises(BoardError, match="not certain to lie ahead"):
            loose.cut_power(START_NS + 6 * NS, None)
        bound.cut_power(START_NS + 6 * NS + 50_000_000, None)

    city.scheduler.at(START_NS + 5 * NS, cut)
    city.run(20)
    assert city.printed(bound)[-1] == "6000"
    assert [r.at_ns for r in bound.resets] == [START_NS + 6 * NS + 50_000_000]


def test_a_flash_image_outlives_the_run(city: City, make_city: Callable[..., City]) -> None:
    """A second run on the same folder finds the files of the first; the spec's files are put on a new image only."""
    first = make_city()
    program = (
        "import os\nprint(sorted(os.listdir('/')), open('settings.json').read())\nopen('mine', 'w').close()"
    )
    first.add(program, files={"settings.json": b"{}", "sub/file": b"1"})
    assert first.run(10) == ["['lib', 'settings.json', 'sub'] {}"]
    first.boards[0].log.unlink()
    second = City(first.folder, first.build)
    second.add(program, files={"settings.json": b"[]"})
    assert second.run(10) == ["['lib', 'mine', 'settings.json', 'sub'] {}"]
