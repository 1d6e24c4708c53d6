"""`cryptolib` for CPython, by `cryptography`: AES in ECB mode, as the ESP32 build has it."""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_ECB = 1


class aes:  # noqa: N801 - its name on MicroPython
    def __init__(self, key, mode):
        if mode != _ECB:
            raise ValueError("mode")
        self._cipher = Cipher(algorithms.AES(bytes(key)), modes.ECB())

    def encrypt(self, data):
        worker = self._cipher.encryptor()
        return worker.update(bytes(data)) + worker.finalize()

    def decrypt(self, data):
        worker = self._cipher.decryptor()
        return worker.update(bytes(data)) + worker.finalize()
