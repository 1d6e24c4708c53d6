"""What the interrupts of a board that plays trains take of its heap is granted on top."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tools.tests.simulator.small_city import START_NS, City
from zaehlwerk_tools.simulator.board_spec import INTERRUPT_HEAP
from zaehlwerk_tools.simulator.inputs import EdgeTrain, PulseInputs, SerialLine
from zaehlwerk_tools.simulator.scheduler import NS

LOADS = """
import gc, machine
pins = [machine.Pin(n, machine.Pin.IN) for n in (4, 5)]
handler = print
if {trains}:
    from machine import UART
    for pin in pins:
        pin.irq(handler, 3)
    uart = UART(1, 19200, rx=6, rxbuf=2048)
    uart.irq(handler, UART.IRQ_RX)
gc.collect()
print(gc.mem_alloc())
"""


@pytest.mark.parametrize("bits", [32, 64])
def test_interrupts_take_what_is_granted_for_them(make_city: Callable[..., City], bits: int) -> None:
    trains = PulseInputs(
        trains={4: EdgeTrain([START_NS + NS]), 5: EdgeTrain([])}, serial={6: SerialLine([], 19_200)}
    )
    taken = []
    for inputs in (PulseInputs(), trains):
        city = make_city()
        city.add(LOADS.format(trains=inputs is trains), inputs, bits=bits, heap=128 * 1024)
        taken.append(int(city.run(10)[0]))
    assert taken[1] - taken[0] == pytest.approx(INTERRUPT_HEAP[bits], abs=300)
