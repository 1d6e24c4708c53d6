"""The SX1262's IRQ register and the DIOs that it drives: SX1261/2 data sheet rev. 2.1, sections 8.5 and 13.3."""

from __future__ import annotations

from zaehlwerk_tools.simulator.chips.sx1262_commands import IRQ_ALL


class Interrupts:
    """Flags that are logged while their bit of the mask is set, and stay until they are cleared."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """By default all are masked (section 13.3.1)."""
        self.flags = 0
        self._mask = 0
        self._dio = (0, 0, 0)

    def configure(self, parameters: bytes) -> None:
        """SetDioIrqParams: the mask, then that of DIO1, DIO2, DIO3."""
        words = [int.from_bytes(parameters[i : i + 2], "big") & IRQ_ALL for i in range(0, 8, 2)]
        self._mask = words[0]
        self._dio = (words[1], words[2], words[3])

    def happened(self, bits: int) -> None:
        """Something of the kind occurred now."""
        self.flags |= bits & self._mask

    def clear(self, bits: int) -> None:
        """ClearIrqStatus."""
        self.flags &= ~bits

    def dio(self, number: int) -> int:
        """The level of DIO1, 2 or 3 as an interrupt line: high until all flags that are mapped to it are cleared."""
        return int(self.flags & self._dio[number - 1] != 0)
