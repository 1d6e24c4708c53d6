"""Small records on flash that are whole or absent: a version byte, the data, a CRC-32.

`Files` is the one place of the firmware that replaces a file: write a new one, then rename. On littlefs the old
or the new content is whole after a power cut at any block operation.
"""

import binascii
import os


class RecordError(ValueError):
    """A record that cannot be used: too short, wrong checksum or of another version."""


def seal(version, data):
    """`data` as a record: version (0..255), data, CRC-32 over both, little-endian."""
    body = bytes([version]) + data
    return body + binascii.crc32(body).to_bytes(4, "little")


def unseal(version, record):
    """The data of a sealed record; RecordError when it is not one of this version."""
    if len(record) < 5:
        raise RecordError("record of %d bytes is too short" % len(record))
    body = record[:-4]
    if binascii.crc32(body).to_bytes(4, "little") != record[-4:]:
        raise RecordError("checksum does not match")
    if body[0] != version:
        raise RecordError("version %d where %d is expected" % (body[0], version))
    return body[1:]


class Files:
    """Files below one directory (relative paths, "/" inside names allowed when the directory exists).

    needed: whether to raise OSError where the flash cannot be written; else Files.refused is what it said last.
    """

    refused: object = None

    def __init__(self, directory, needed=True):
        self._directory = directory
        self._needed = needed
        try:
            os.mkdir(directory)
        except OSError:
            pass  # it is there already; if not, the first write says so

    def path(self, name):
        """Where `name` lies."""
        return self._directory + "/" + name

    def read(self, name):
        """The whole content, None when there is no such file."""
        try:
            with open(self.path(name), "rb") as file:
                return file.read()
        except OSError:
            return None

    def replace(self, name, data):
        """Old or new content, never a mixture, whenever the power goes."""
        self._write(self.path(name) + ".new", "wb", data, self.path(name))

    def append(self, name, data):
        """Add `data` to the end; a cut leaves the whole old content and possibly a part of `data`."""
        self._write(self.path(name), "ab", data, None)

    def _write(self, path, mode, data, afterwards):
        try:
            with open(path, mode) as file:
                file.write(data)
            if afterwards is not None:
                os.rename(path, afterwards)
        except OSError as error:
            if self._needed:
                raise
            Files.refused = error

    def remove(self, name):
        """Delete the file; nothing happens when it is not there."""
        try:
            os.remove(self.path(name))
        except OSError:
            pass

    def names(self):
        """The names of the files in the directory, sorted."""
        return sorted(os.listdir(self._directory))
