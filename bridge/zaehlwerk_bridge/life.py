"""Tells a database file that was put back from a copy, so that its stations are asked for before anything is published.

A word that changes every minute stands in the database and in a small file beside it. A copy keeps the word of its
time. Whoever copies or restores both (a whole machine) deletes the file: a missing one counts as a copy as well.
"""

import os
import secrets
import sqlite3
from pathlib import Path

SUFFIX = "-life"


class Life:
    """The word of `database`, whose file is at `path`."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._beside = path.with_name(path.name + SUFFIX)

    def is_copy(self) -> bool:
        """Whether this database is not the one that was last written to here. A new one is none."""
        words = self._words()
        try:
            beside = self._beside.read_text(encoding="ascii", errors="replace")
        except OSError:
            return bool(words)
        # Both of its words are good: it may have died between writing the file and noting that.
        return beside not in words

    def renew(self) -> None:
        """Change the word. Raises sqlite3.Error and OSError; whatever had been done then, the database is no copy."""
        known = self._words()
        word = secrets.token_hex(16)
        self._database.execute("INSERT INTO life VALUES (?)", (word,))
        new = self._beside.with_name(self._beside.name + ".new")
        with new.open("w", encoding="ascii") as file:
            file.write(word)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._beside)
        # After a power cut the file may hold the word before, for its directory is not synced: that one stays.
        self._database.executemany("DELETE FROM life WHERE word = ?", [(old,) for old in known[:-1]])

    def _words(self) -> list[str]:
        return [word for (word,) in self._database.execute("SELECT word FROM life ORDER BY rowid")]
