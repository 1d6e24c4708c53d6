"""What is kept of a unit: one JSON file for each DevEUI, from which it can be registered and labelled later. Never a key."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from zaehlwerk_tools.technician.troubles import TechnicianError


class RecordError(TechnicianError):
    """A record cannot be read or kept."""


def record_path(folder: Path, dev_eui: str) -> Path:
    """Where the record of a unit is."""
    return folder / f"{dev_eui}.json"


def keep_record(path: Path, record: dict[str, Any]) -> None:
    """Write it, whole or not at all. Raises RecordError."""
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as error:
        raise RecordError(f"the record {path} cannot be written: {error.strerror or error}") from None


def kept_record(path: Path) -> dict[str, Any]:
    """The record there, empty if there is none. Raises RecordError."""
    return read_record(path) if path.exists() else {}


def read_record(path: Path) -> dict[str, Any]:
    """A record. Raises RecordError."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise RecordError(f"{path} is not JSON: {error}") from None
    wanted = {"dev_eui", "join_eui"}
    if not isinstance(record, dict) or not all(isinstance(record.get(key), str) for key in wanted):
        raise RecordError(f"{path} is no record of a unit: `zaehlwerk provision` makes them")
    return record
