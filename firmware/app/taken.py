"""GPIOs that are no sensor's, by board: those of its chip's flash, and the column "taken" of boards/README.md without SD cards.

Here and not in the boards' files, because it is asked for at the start only. A board of one's own may be left out.
"""

# ESP-IDF Programming Guide, "GPIO & RTC GPIO", of each chip: "SPI0/1".
_ESP32_FLASH = range(6, 12)
_S3_FLASH = range(26, 33)

TAKEN = {
    "heltec_v3": (_S3_FLASH, range(8, 19), (0, 1, 21, 35, 36, 37, 43, 44)),
    "t3_s3": (_S3_FLASH, range(5, 11), (0, 1, 3, 17, 18, 19, 20, 21, 33, 34, 36, 37)),
    "t_beam": (_ESP32_FLASH, (4, 5, 12, 16, 17, 18, 19, 21, 22, 23, 26, 27, 32, 33, 34, 35, 38)),
    "t3_v16": (_ESP32_FLASH, (5, 16, 17, 18, 19, 21, 22, 23, 25, 26, 27, 32, 33, 35)),
}
