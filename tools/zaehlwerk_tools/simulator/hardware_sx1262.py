"""The boards with an SX1262 that the simulator knows, from their makers' schematics.

Not among the free GPIOs, though on the headers: what decides how an ESP32-S3 boots (0, 3, 45, 46), its USB (19, 20), its
console (43, 44), and whatever the schematic connects to something.
"""

from __future__ import annotations

from zaehlwerk_tools.simulator.hardware import Battery, Hardware, RadioWiring

HELTEC_V3 = Hardware(
    name="Heltec WiFi LoRa 32 V3",
    mcu="esp32s3",
    pcnt_units=4,
    radio=RadioWiring(
        chip="sx1262",
        sck=9,
        mosi=10,
        miso=11,
        nss=8,
        reset=12,
        busy=13,
        dio={"dio1": 14},
        tcxo_mv=1800,
        dio2_switch=True,
    ),
    # JP3 from the antenna's end, then JP2.
    free=(7, 6, 5, 4, 2, 38, 39, 40, 41, 42, 26, 48, 47, 33, 34),
    # 390 kOhm and 100 kOhm. V3 and V3.1: connected while GPIO37 is low; V3.2 has it the other way round.
    battery=Battery(pin=1, num=10, den=49, enable=(37, 0)),
    source="schematic HTIT-WB32LA(F)_V3 by Heltec Automation; voltage of the TCXO: variant heltec_v3 of Meshtastic",
    led=(35, 1),
)

T3_S3 = Hardware(
    name="LilyGO T3-S3 V1.2 with SX1262",
    mcu="esp32s3",
    pcnt_units=4,
    radio=RadioWiring(
        chip="sx1262",
        sck=5,
        mosi=6,
        miso=3,
        nss=7,
        reset=8,
        busy=34,
        dio={"dio1": 33},
        tcxo_mv=1800,
        dio2_switch=True,
    ),
    # JP1, then JP2. GPIO12 goes to the card's slot, GPIO36 to a pad of the radio module.
    free=(42, 41, 40, 39, 38, 35, 47, 48, 15, 16),
    battery=Battery(pin=1, num=1, den=2),
    source=(
        "schematic T3_S3_V1.2 by LilyGO (github.com/Xinyuan-LilyGO/LilyGo-LoRa-Series); voltage of the TCXO and antenna"
        " switch: variant tlora_t3s3_v1 of Meshtastic"
    ),
    led=(37, 1),
)
