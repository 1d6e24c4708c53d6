"""Secrets live in files of their own. They are read when they are used, so that a rotated key needs no restart."""

from pathlib import Path

from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.redaction import Redactor

MAX_SECRET_BYTES = 16 * 1024  # a JWT has a few hundred; whoever names a log file by mistake is told so


class SecretFile:
    """One secret in one file; `setting` is the setting that names it, for messages. Never shows what it holds."""

    def __init__(self, path: Path, setting: str, redactor: Redactor) -> None:
        self.path = path
        self.setting = setting
        self._redactor = redactor

    def __repr__(self) -> str:
        return f"SecretFile({str(self.path)!r})"

    def read(self) -> str:
        """Return the secret as it is in the file now, without the white space around it.

        Raises SettingsError if there is no such file, if it may not be read, or if it holds no single word.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_SECRET_BYTES + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SettingsError([f"{self.setting}: cannot read {self.path}: {reason}"]) from None
        try:
            secret = data.decode("ascii").strip()
        except UnicodeDecodeError:
            secret = ""
        if len(data) > MAX_SECRET_BYTES or not secret or not secret.isprintable():
            raise SettingsError([f"{self.setting}: {self.path} does not hold one line with one secret"])
        self._redactor.add(secret)
        return secret
