"""The SX1262's commands and the codes in their answers: SX1261/2 data sheet rev. 2.1, chapters 11 and 13."""

from __future__ import annotations

from typing import Final, NamedTuple


class Command(NamedTuple):
    """A command's name, the least and the most bytes that follow its opcode, and, for commands that answer, the position
    of the answer's first byte (after the opcode, its parameters and one NOP that clocks out the status)."""

    name: str
    least: int
    most: int
    answer_at: int = 0


ANY: Final = 1 << 16
"""As many bytes as the host likes."""

NOP: Final = 0x00
"""A transaction of this one byte does nothing but pull NSS low. ResetStats has the same opcode and six bytes more."""

GET_STATUS: Final = 0xC0
READ_REGISTER: Final = 0x1D
READ_BUFFER: Final = 0x1E

COMMANDS: Final = {
    # Table 11-1, operating modes.
    0x84: Command("SetSleep", 1, 1),
    0x80: Command("SetStandby", 1, 1),
    0xC1: Command("SetFs", 0, 0),
    0x83: Command("SetTx", 3, 3),
    0x82: Command("SetRx", 3, 3),
    0x9F: Command("StopTimerOnPreamble", 1, 1),
    0x94: Command("SetRxDutyCycle", 6, 6),
    0xC5: Command("SetCad", 0, 0),
    0xD1: Command("SetTxContinuousWave", 0, 0),
    0xD2: Command("SetTxInfinitePreamble", 0, 0),
    0x96: Command("SetRegulatorMode", 1, 1),
    0x89: Command("Calibrate", 1, 1),
    0x98: Command("CalibrateImage", 2, 2),
    0x95: Command("SetPaConfig", 4, 4),
    0x93: Command("SetRxTxFallbackMode", 1, 1),
    # Table 11-2, registers and buffer.
    0x0D: Command("WriteRegister", 3, ANY),
    READ_REGISTER: Command("ReadRegister", 2, ANY, 4),
    0x0E: Command("WriteBuffer", 2, 257),
    READ_BUFFER: Command("ReadBuffer", 1, ANY, 3),
    # Table 11-3, IRQs and DIOs.
    0x08: Command("SetDioIrqParams", 8, 8),
    0x12: Command("GetIrqStatus", 0, ANY, 2),
    0x02: Command("ClearIrqStatus", 2, 2),
    0x9D: Command("SetDIO2AsRfSwitchCtrl", 1, 1),
    0x97: Command("SetDIO3AsTCXOCtrl", 4, 4),
    # Table 11-4, RF and packets. Sections 13.4.5 and 13.4.6 show both parameter lists with all their places; a modem reads
    # the first of them.
    0x86: Command("SetRfFrequency", 4, 4),
    0x8A: Command("SetPacketType", 1, 1),
    0x11: Command("GetPacketType", 0, ANY, 2),
    0x8E: Command("SetTxParams", 2, 2),
    0x8B: Command("SetModulationParams", 4, 8),
    0x8C: Command("SetPacketParams", 1, 9),
    0x88: Command("SetCadParams", 7, 7),
    0x8F: Command("SetBufferBaseAddress", 2, 2),
    0xA0: Command("SetLoRaSymbNumTimeout", 1, 1),
    # Table 11-5, status.
    GET_STATUS: Command("GetStatus", 0, ANY, 1),
    0x13: Command("GetRxBufferStatus", 0, ANY, 2),
    0x14: Command("GetPacketStatus", 0, ANY, 2),
    0x15: Command("GetRssiInst", 0, ANY, 2),
    0x10: Command("GetStats", 0, ANY, 2),
    NOP: Command("ResetStats", 6, 6),
    0x17: Command("GetDeviceErrors", 0, ANY, 2),
    0x07: Command("ClearDeviceErrors", 2, 2),
}

CONFIGURES_A_MODEM: Final = frozenset(
    {
        "SetPacketType",
        "SetModulationParams",
        "SetPacketParams",
        "SetRfFrequency",
        "SetPaConfig",
        "SetTxParams",
    }
)
"""Sections 14.2 and 14.3 begin with STDBY_RC before any of these."""

# Section 13.5.1, the status byte: chip mode in bits 6:4, command status in bits 3:1.
MODE_STDBY_RC: Final = 2
MODE_STDBY_XOSC: Final = 3
MODE_FS: Final = 4
MODE_RX: Final = 5
MODE_TX: Final = 6

STATUS_PROCESSED: Final = 1
"""Reserved there; what a chip shows when nothing is wrong and there is nothing to tell."""
STATUS_DATA_AVAILABLE: Final = 2
STATUS_TIMEOUT: Final = 3
STATUS_PROCESSING_ERROR: Final = 4
STATUS_EXECUTION_FAILURE: Final = 5
STATUS_TX_DONE: Final = 6

# Table 13-29, IRQ register.
IRQ_TX_DONE: Final = 1 << 0
IRQ_RX_DONE: Final = 1 << 1
IRQ_PREAMBLE_DETECTED: Final = 1 << 2
IRQ_SYNC_WORD_VALID: Final = 1 << 3
IRQ_HEADER_VALID: Final = 1 << 4
IRQ_HEADER_ERR: Final = 1 << 5
IRQ_CRC_ERR: Final = 1 << 6
IRQ_CAD_DONE: Final = 1 << 7
IRQ_CAD_DETECTED: Final = 1 << 8
IRQ_TIMEOUT: Final = 1 << 9
IRQ_ALL: Final = (1 << 10) - 1

# Section 13.6.1, OpError bits.
ERROR_RC64K_CALIB: Final = 1 << 0
ERROR_RC13M_CALIB: Final = 1 << 1
ERROR_PLL_CALIB: Final = 1 << 2
ERROR_ADC_CALIB: Final = 1 << 3
ERROR_IMG_CALIB: Final = 1 << 4
ERROR_XOSC_START: Final = 1 << 5
ERROR_PLL_LOCK: Final = 1 << 6
ERROR_PA_RAMP: Final = 1 << 8


class Refused(Exception):
    """The chip does not execute a command: `status` is the command status that it shows from now on."""

    def __init__(self, what: str, status: int = STATUS_EXECUTION_FAILURE) -> None:
        super().__init__(what)
        self.status = status
