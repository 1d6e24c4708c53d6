"""What a board is given to hash its files with: part of the programs that look at what is on it."""

HASH = """import hashlib, binascii
def _hash(p):
    h = hashlib.sha256()
    b = bytearray(512)
    with open(p, 'rb') as f:
        while True:
            n = f.readinto(b)
            if not n:
                return binascii.hexlify(h.digest()).decode()
            h.update(memoryview(b)[:n])
"""
"""MicroPython: defines `_hash(path)`, the SHA-256 of a file as hexadecimal text, in 512 bytes of memory."""
