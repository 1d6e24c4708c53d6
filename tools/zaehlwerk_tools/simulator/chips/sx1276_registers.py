"""The SX1276's registers: SX1276/77/78/79 data sheet rev. 7, section 6 (addresses, names, values after a reset).

Addresses 0x0D to 0x3F exist twice, once for each modem; LongRangeMode and AccessSharedReg in RegOpMode select the page.
"""

from __future__ import annotations

from typing import Final

# -- common to both modems

FIFO: Final = 0x00
OP_MODE: Final = 0x01
FRF_MSB: Final = 0x06
FRF_MID: Final = 0x07
FRF_LSB: Final = 0x08
PA_CONFIG: Final = 0x09
PA_RAMP: Final = 0x0A
OCP: Final = 0x0B
LNA: Final = 0x0C
PAGED: Final = range(0x0D, 0x40)
DIO_MAPPING_1: Final = 0x40
DIO_MAPPING_2: Final = 0x41
VERSION: Final = 0x42
PLL_HOP: Final = 0x44
TCXO: Final = 0x4B
PA_DAC: Final = 0x4D

# -- the LoRa modem's page

FIFO_ADDR_PTR: Final = 0x0D
FIFO_TX_BASE_ADDR: Final = 0x0E
FIFO_RX_BASE_ADDR: Final = 0x0F
FIFO_RX_CURRENT_ADDR: Final = 0x10
IRQ_FLAGS_MASK: Final = 0x11
IRQ_FLAGS: Final = 0x12
RX_NB_BYTES: Final = 0x13
RX_HEADER_CNT_MSB: Final = 0x14
RX_HEADER_CNT_LSB: Final = 0x15
RX_PACKET_CNT_MSB: Final = 0x16
RX_PACKET_CNT_LSB: Final = 0x17
MODEM_STAT: Final = 0x18
PKT_SNR_VALUE: Final = 0x19
PKT_RSSI_VALUE: Final = 0x1A
RSSI_VALUE: Final = 0x1B
HOP_CHANNEL: Final = 0x1C
MODEM_CONFIG_1: Final = 0x1D
MODEM_CONFIG_2: Final = 0x1E
SYMB_TIMEOUT_LSB: Final = 0x1F
PREAMBLE_MSB: Final = 0x20
PREAMBLE_LSB: Final = 0x21
PAYLOAD_LENGTH: Final = 0x22
MAX_PAYLOAD_LENGTH: Final = 0x23
HOP_PERIOD: Final = 0x24
FIFO_RX_BYTE_ADDR: Final = 0x25
MODEM_CONFIG_3: Final = 0x26
FEI_MSB: Final = 0x28
FEI_MID: Final = 0x29
FEI_LSB: Final = 0x2A
RSSI_WIDEBAND: Final = 0x2C
IF_FREQ_1: Final = 0x2F
IF_FREQ_2: Final = 0x30
DETECT_OPTIMIZE: Final = 0x31
INVERT_IQ: Final = 0x33
HIGH_BW_OPTIMIZE_1: Final = 0x36
DETECTION_THRESHOLD: Final = 0x37
SYNC_WORD: Final = 0x39
HIGH_BW_OPTIMIZE_2: Final = 0x3A
INVERT_IQ_2: Final = 0x3B

# -- the FSK/OOK modem's page, as far as this model gives it a meaning

FSK_RSSI_VALUE: Final = 0x11
FSK_IMAGE_CAL: Final = 0x3B
FSK_TEMP: Final = 0x3C
FSK_IRQ_FLAGS_1: Final = 0x3E
FSK_IRQ_FLAGS_2: Final = 0x3F

# -- values

LONG_RANGE_MODE: Final = 0x80
ACCESS_SHARED_REG: Final = 0x40
LOW_FREQUENCY_MODE_ON: Final = 0x08
OP_MODE_KEPT_LORA: Final = ACCESS_SHARED_REG | LOW_FREQUENCY_MODE_ON
OP_MODE_KEPT_FSK: Final = 0x60 | LOW_FREQUENCY_MODE_ON  # and ModulationType
MODE: Final = 0x07

SLEEP: Final = 0
STDBY: Final = 1
FSTX: Final = 2
TX: Final = 3
FSRX: Final = 4
RXCONTINUOUS: Final = 5
RXSINGLE: Final = 6
CAD: Final = 7
MODE_NAMES: Final = ("SLEEP", "STDBY", "FSTX", "TX", "FSRX", "RXCONTINUOUS", "RXSINGLE", "CAD")

RX_TIMEOUT: Final = 0x80
RX_DONE: Final = 0x40
PAYLOAD_CRC_ERROR: Final = 0x20
VALID_HEADER: Final = 0x10
TX_DONE: Final = 0x08
CAD_DONE: Final = 0x04
FHSS_CHANGE_CHANNEL: Final = 0x02
CAD_DETECTED: Final = 0x01

MODEM_CLEAR: Final = 0x10
HEADER_INFO_VALID: Final = 0x08
RX_ON_GOING: Final = 0x04
SIGNAL_SYNCHRONIZED: Final = 0x02
SIGNAL_DETECTED: Final = 0x01

CRC_ON_PAYLOAD: Final = 0x40
FAST_HOP_ON: Final = 0x80
IMAGE_CAL_START: Final = 0x40
IMAGE_CAL_RUNNING: Final = 0x20

DIO: Final = (
    # Section 4.1.6, table 18: what each of the mappings 00, 01, 10 shows; flags of RegIrqFlags, or a state of the chip.
    ("dio0", DIO_MAPPING_1, 6, (RX_DONE, TX_DONE, CAD_DONE, None)),
    ("dio1", DIO_MAPPING_1, 4, (RX_TIMEOUT, FHSS_CHANGE_CHANNEL, CAD_DETECTED, None)),
    ("dio2", DIO_MAPPING_1, 2, (FHSS_CHANGE_CHANNEL, FHSS_CHANGE_CHANNEL, FHSS_CHANGE_CHANNEL, None)),
    ("dio3", DIO_MAPPING_1, 0, (CAD_DONE, VALID_HEADER, PAYLOAD_CRC_ERROR, None)),
    ("dio4", DIO_MAPPING_2, 6, (CAD_DETECTED, "pll_lock", "pll_lock", None)),
    (
        "dio5",
        DIO_MAPPING_2,
        4,
        ("mode_ready", None, None, None),
    ),  # 01 and 10 are ClkOut: a clock has no level
)

READ_ONLY_LORA: Final = frozenset(
    [
        FIFO_RX_CURRENT_ADDR,
        *range(RX_NB_BYTES, HOP_CHANNEL + 1),
        FIFO_RX_BYTE_ADDR,
        FEI_MSB,
        FEI_MID,
        FEI_LSB,
        RSSI_WIDEBAND,
    ]
)
READ_ONLY_FSK: Final = frozenset([FSK_RSSI_VALUE, FSK_TEMP, FSK_IRQ_FLAGS_1, FSK_IRQ_FLAGS_2])

NOT_STATIC: Final = frozenset(
    [FIFO, OP_MODE, FIFO_ADDR_PTR, IRQ_FLAGS_MASK, IRQ_FLAGS, DIO_MAPPING_1, DIO_MAPPING_2]
)
"""Everything else is a static configuration register, for which section 4.1.3 allows sleep, standby and FS only."""

_COMMON_RESET: Final = {
    OP_MODE: 0x09,
    0x02: 0x1A,
    0x03: 0x0B,
    0x05: 0x52,
    FRF_MSB: 0x6C,
    FRF_MID: 0x80,
    FRF_LSB: 0x00,
    PA_CONFIG: 0x4F,
    PA_RAMP: 0x09,
    OCP: 0x2B,
    LNA: 0x20,
    VERSION: 0x12,
    PLL_HOP: 0x2D,
    TCXO: 0x09,
    PA_DAC: 0x84,
    0x61: 0x1C,
    0x62: 0x0E,
    0x63: 0x5B,
    0x64: 0xDB,
    0x70: 0xD0,
}
_LORA_RESET: Final = {
    FIFO_TX_BASE_ADDR: 0x80,
    MODEM_STAT: MODEM_CLEAR,
    MODEM_CONFIG_1: 0x72,
    MODEM_CONFIG_2: 0x70,
    SYMB_TIMEOUT_LSB: 0x64,
    PREAMBLE_LSB: 0x08,
    PAYLOAD_LENGTH: 0x01,
    MAX_PAYLOAD_LENGTH: 0xFF,
    DETECT_OPTIMIZE: 0xC3,
    INVERT_IQ: 0x27,
    HIGH_BW_OPTIMIZE_1: 0x03,
    DETECTION_THRESHOLD: 0x0A,
    SYNC_WORD: 0x12,
    INVERT_IQ_2: 0x1D,
    # What the data sheet calls reserved, as a T-Beam's chip has it: a dump shown at markqvist/RNode_Firmware.
    0x2D: 0x50,
    0x2E: 0x14,
    IF_FREQ_1: 0x45,
    IF_FREQ_2: 0x55,
    0x32: 0x05,
    0x34: 0x1C,
    0x35: 0x0A,
    0x38: 0x42,
    HIGH_BW_OPTIMIZE_2: 0x49,
    0x3D: 0xAF,
}
_FSK_RESET: Final = {
    0x0D: 0x08,
    0x0E: 0x02,
    0x0F: 0x0A,
    0x10: 0xFF,
    0x12: 0x15,
    0x13: 0x0B,
    0x14: 0x28,
    0x15: 0x0C,
    0x16: 0x12,
    0x17: 0x47,
    0x18: 0x32,
    0x19: 0x3E,
    0x1F: 0x40,
    0x24: 0x05,
    0x26: 0x03,
    0x27: 0x93,
    **dict.fromkeys(range(0x28, 0x30), 0x55),
    0x30: 0x90,
    0x31: 0x40,
    0x32: 0x40,
    0x35: 0x0F,
    0x39: 0xF5,
    0x3A: 0x20,
    FSK_IMAGE_CAL: 0x82,
    0x3D: 0x02,
    FSK_IRQ_FLAGS_1: 0x80,
    FSK_IRQ_FLAGS_2: 0x40,
}


def after_reset() -> tuple[bytearray, bytearray]:
    """The two pages, each with 128 registers; the common ones are kept in the first, the LoRa modem's."""
    lora, fsk = bytearray(0x80), bytearray(0x80)
    for address, value in (_COMMON_RESET | _LORA_RESET).items():
        lora[address] = value
    for address, value in _FSK_RESET.items():
        fsk[address] = value
    return lora, fsk
