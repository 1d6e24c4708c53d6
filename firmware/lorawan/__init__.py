"""A LoRaWAN 1.0.4 Class A end device in pure MicroPython.

`mac.Mac` decides and does no I/O; `device.Device` carries its decisions out with a radio (see `radio`).
Relies on `cryptolib` for AES and on a `store.Store` for what must survive a power cut.
"""
