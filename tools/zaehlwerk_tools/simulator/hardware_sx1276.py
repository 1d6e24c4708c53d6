"""The boards with an SX1276 for 868 MHz that the simulator knows, from their maker's pin tables and the
firmware that runs on them; the schematics themselves have not been read.

Not among the free GPIOs, though on the headers: GPIO0, which decides whether an ESP32 boots, the console (1, 3), and whatever the
board connects to something. GPIO34 to 39 have no pull-ups.
"""

from __future__ import annotations

from dataclasses import replace

from zaehlwerk_tools.simulator.hardware import Battery, Hardware, PowerChip, RadioWiring

_DIO = {"dio0": 26, "dio1": 33, "dio2": 32}
# GPIO15 and GPIO2 come last: an ESP32 looks at them when it starts. 15 low only mutes the boot messages, 2 high only keeps
# it from being flashed over the serial line. That makes seven; GPIO4 drives the LED.
_T_BEAM_FREE = (36, 39, 25, 14, 13, 15, 2)
_T_BEAM_SOURCE = (
    "docs/en/t_beam/t_beam_hw.md of github.com/Xinyuan-LilyGO/LilyGo-LoRa-Series; DIO0, LED and what the display"
    " shield uses of the header: variant tbeam of Meshtastic; 36, 39: board esp32-ttgo-t-beam of RIOT"
)

_RADIO = RadioWiring(chip="sx1276", sck=5, mosi=27, miso=19, nss=18, reset=23, dio=_DIO)
"""The maker wires all of them alike."""

T_BEAM_AXP192 = Hardware(
    name="LilyGO T-Beam V1.1 with SX1276 and AXP192",
    mcu="esp32",
    pcnt_units=8,
    radio=replace(_RADIO, supply="ldo2"),
    free=_T_BEAM_FREE,
    battery=Battery(pin=None),
    source=_T_BEAM_SOURCE,
    power_chip=PowerChip(chip="axp192", sda=21, scl=22, irq=35),
    led=(4, 0),
)

T_BEAM_AXP2101 = replace(
    T_BEAM_AXP192,
    name="LilyGO T-Beam V1.2 with SX1276 and AXP2101",
    radio=replace(_RADIO, supply="aldo2"),
    power_chip=PowerChip(chip="axp2101", sda=21, scl=22, irq=35),
)

T3_V16 = Hardware(
    name="LilyGO LoRa32 T3 V1.6.1 with SX1276",
    mcu="esp32",
    pcnt_units=8,
    radio=_RADIO,
    # Three only, and inputs only: 2, 4, 12, 13, 14 and 15 go to the card's slot with its pull-ups.
    free=(36, 39, 34),
    # 100 kOhm and 100 kOhm.
    battery=Battery(pin=35, num=1, den=2),
    source=(
        "docs/en/t3_v161_sx1276/t3_v161_sx1276_hw.md of github.com/Xinyuan-LilyGO/LilyGo-LoRa-Series; header and"
        " what is left of it: as users of LilyGO/TTGO-LoRa32-V2.1 list it; DIO0 and divider: variant tlora_v2_1_16 of"
        " Meshtastic"
    ),
    led=(25, 1),
)
