"""`esp32` of the virtual board: NVS (kept by the simulator beside the flash image), PCNT, the chip's temperature."""

import struct

import board_link as _link

WAKEUP_ALL_LOW, WAKEUP_ANY_HIGH = False, True
_NOT_FOUND, _TYPE, _KEY_TOO_LONG, _LENGTH = -0x1102, -0x1103, -0x1109, -0x110C


def __getattr__(name):
    if name == "PCNT":
        from virtual_pcnt import PCNT

        return PCNT
    if name == "wake_on_gpio":
        from virtual_sleep import wake_on_gpio

        return wake_on_gpio
    raise AttributeError(name)


class NVS:
    def __init__(self, namespace):
        if len(namespace) > 15:
            raise OSError(_KEY_TOO_LONG, "ESP_ERR_NVS_KEY_TOO_LONG")
        self._name = namespace

    def _call(self, what, key, data=b""):
        # what: i/I get/set i32, b/B get/set blob, e erase, c commit
        if len(key) > 15:
            raise OSError(_KEY_TOO_LONG, "ESP_ERR_NVS_KEY_TOO_LONG")
        head = ("%s%s\0%s\0" % (what, self._name, key)).encode()
        if len(head) + len(data) > 256:
            raise OSError(_LENGTH, "ESP_ERR_NVS_INVALID_LENGTH")
        _link.buffer[9 : 9 + len(head)] = head
        _link.buffer[9 + len(head) : 9 + len(head) + len(data)] = data
        _link.ask(86, len(head) + len(data), 4)
        code, n = struct.unpack_from("<hH", _link.reply)
        _link.more(n)
        if code:
            raise OSError(
                code, "ESP_ERR_NVS_NOT_FOUND" if code == _NOT_FOUND else "ESP_ERR_NVS_TYPE_MISMATCH"
            )
        return memoryview(_link.reply)[:n]

    def get_i32(self, key):
        return struct.unpack("<i", self._call("i", key))[0]

    def set_i32(self, key, value):
        self._call("I", key, struct.pack("<i", value))

    def get_blob(self, key, buffer):
        found = self._call("b", key)
        if len(found) > len(buffer):
            raise OSError(_LENGTH, "ESP_ERR_NVS_INVALID_LENGTH")
        buffer[: len(found)] = found
        return len(found)

    def set_blob(self, key, value):
        self._call("B", key, value)

    def erase_key(self, key):
        self._call("e", key)

    def commit(self):
        self._call("c", "")


def _temperature():
    import machine

    return machine._analog(1, 0)


def mcu_temperature():
    return _temperature() // 10


def raw_temperature():
    return _temperature() * 18 // 100 + 32
