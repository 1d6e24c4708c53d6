"""What comes in at a UART: at its time, through FIFO and ring buffer, lost where an ESP32 loses it."""

from __future__ import annotations

import pytest

from tools.tests.simulator.small_city import START_NS, City
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.scheduler import NS
from zaehlwerk_tools.simulator.serial_line import FIFO, SerialLine, SerialReceiver

MS = 1_000_000
BAUD = 19_200
CHARACTER = 10 * NS // BAUD


def line(*pieces: tuple[int, bytes], baud: int = BAUD) -> SerialLine:
    """Pieces by ms after a second of the board's life."""
    return SerialLine([(START_NS + NS + at * MS, data) for at, data in pieces], baud)


def test_bytes_arrive_one_after_the_other() -> None:
    serial = SerialLine([(0, b"ab"), (10 * MS, b"c")], 10_000)
    assert [serial.arrival(n) for n in range(4)] == [MS, 2 * MS, 11 * MS, None]
    assert [serial.arrived(t * MS) for t in (0, 1, 2, 5, 11, 20)] == [0, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("pieces", [[(0, b"abc"), (MS, b"d")], [(0, b"")]])
def test_a_line_that_cannot_be_is_refused(pieces: list[tuple[int, bytes]]) -> None:
    with pytest.raises(ValueError, match=r"before the one before has ended|is empty"):
        SerialLine(pieces, BAUD)


def test_the_handler_is_called_after_a_pause_or_120_bytes() -> None:
    serial = SerialLine([(0, b"x" * 300)], BAUD)
    receiver = SerialReceiver(serial, 0, BAUD, 2048, 2)
    calls = []
    while (at := receiver.next_interrupt()) is not None:
        calls.append((at, receiver.waiting(at)))
    ends = [120 * CHARACTER, 240 * CHARACTER, 302 * CHARACTER]
    assert [at for at, _ in calls] == [pytest.approx(at, abs=1000) for at in ends]
    assert [n for _, n in calls] == [120, 240, 300]


def test_what_nobody_reads_in_time_is_lost_and_nobody_is_told() -> None:
    """256 bytes of buffer: two interrupts' worth goes in, the third waits aside, and the FIFO overflows again and again."""
    serial = SerialLine([(0, bytes(n % 251 for n in range(1000)))], BAUD)
    receiver = SerialReceiver(serial, 0, BAUD, 256, 2)
    end = serial.length(1000)
    assert receiver.waiting(end) == 240
    assert receiver.next_interrupt() is None
    first = receiver.read(end, 240)
    assert first == serial.data[:240]
    rest = receiver.read(end, 256) + receiver.read(end + 10 * MS, 256)
    assert rest[:120] == serial.data[240:360]
    assert receiver.lost == 4 * (FIFO + 1)
    assert rest[120:] == serial.data[360 + receiver.lost :]
    assert 240 + len(rest) + receiver.lost == 1000


def test_a_stall_keeps_what_the_fifo_holds() -> None:
    serial = SerialLine([(0, bytes(range(200)))], 115_200)
    receiver = SerialReceiver(serial, 0, 115_200, 2048, 2)
    receiver.deaf(0, 15 * MS)
    assert receiver.next_interrupt() == 15 * MS
    # 172 have come by then.
    kept = receiver.read(15 * MS, 2048)
    assert kept == bytes(range(FIFO))
    assert receiver.read(30 * MS, 2048) == bytes(range(172, 200))
    assert receiver.lost == 44


def test_a_receiver_hears_nothing_from_before_it_was_opened_and_noise_at_another_speed() -> None:
    serial = SerialLine([(0, b"old"), (NS, b"new\n")], BAUD)
    assert SerialReceiver(serial, NS // 2, BAUD, 256, 2).read(2 * NS, 100) == b"new\n"
    assert SerialReceiver(serial, 0, 9600, 256, 2).read(2 * NS, 100) != b"oldnew\n"


LISTEN = """
import machine, time
heard = []
part = bytearray(128)
def receive(uart):
    while True:
        n = uart.readinto(part)
        if not n:
            break
        heard.append((time.ticks_ms(), bytes(part[:n])))
uart = machine.UART(1, {baud}, rx=4, tx=5, rxbuf={room}, timeout_char=2)
uart.irq(receive, machine.UART.IRQ_RX)
"""


@pytest.mark.parametrize("bits", [64, 32])
def test_lines_come_to_a_handler_when_they_are_whole(city: City, bits: int) -> None:
    city.add(
        LISTEN.format(baud=BAUD, room=2048) + "time.sleep(3)\nprint(heard)",
        PulseInputs(serial={4: line((0, b"hello\r\n"), (500, b"x" * 150))}),
        bits=bits,
    )
    (first, text), *rest = eval(city.run(60)[0])
    assert (first, text) == (1004, b"hello\r\n")
    assert [len(data) for _, data in rest] == [120, 30]


def test_what_is_written_is_seen_outside(city: City) -> None:
    board = city.add(
        LISTEN.format(baud=BAUD, room=256) + "print(uart.write(b'OJ'), uart.any(), uart.read(5))",
        PulseInputs(serial={4: line()}),
    )
    assert city.run(60) == ["2 0 None"]
    assert board.serial_out == {1: b"OJ"}


def test_a_flash_write_loses_bytes_of_a_fast_stream_and_none_of_a_slow_one(city: City) -> None:
    """An erasure takes 30 ms, the FIFO holds 128 bytes: two lines of 30 bytes, or six of 60."""
    writing = "with open('x', 'w') as f:\n    f.write('z' * 9000)\n"
    streams = {BAUD: (30, 20), 115_200: (60, 6)}
    for baud, (length, step_ms) in streams.items():
        pieces = [(n * step_ms, b"x" * length) for n in range(1000 // step_ms)]
        city.add(
            LISTEN.format(baud=baud, room=4096)
            + f"time.sleep_ms(1000 - time.ticks_ms())\n{writing}time.sleep(3)\nprint(sum([len(d) for _, d in heard]))",
            PulseInputs(serial={4: line(*pieces, baud=baud)}),
        )
    city.run(60)
    slow, fast = [int(city.printed(board)[0]) for board in city.boards]
    assert slow == 50 * 30
    assert fast < 166 * 60 - 200


def test_a_buffer_that_nobody_empties_overflows_and_hears_again_when_read(city: City) -> None:
    city.add(
        LISTEN.format(baud=BAUD, room=256)
        + "uart.irq(None)\ntime.sleep(4)\nprint(uart.any())\nreceive(uart)\ntime.sleep_ms(100)\nreceive(uart)\n"
        "time.sleep(5)\nreceive(uart)\nprint(sum([len(d) for _, d in heard]), heard[-1][1])",
        PulseInputs(serial={4: line((0, b"x" * 2000), (6000, b"again\n"))}),
    )
    waiting, rest = city.run(60)
    assert 128 < int(waiting) <= 256
    assert rest.endswith("b'again\\n'")
    assert int(rest.split()[0]) < 600
