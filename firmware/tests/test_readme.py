"""The README's tables of settings are the tables in code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app import settings

README = (Path(__file__).parent.parent / "README.md").read_text()
ROWS = {
    match[1]: match[0]
    for match in re.finditer(r"^\| `([a-z_]+)` \|[^|]+\|[^|]+\|[^|]+\|$", README, re.MULTILINE)
}


@pytest.mark.parametrize("row", [*settings.TABLE, *settings.CHANNEL_TABLE], ids=lambda row: row[0])
def test_every_setting_is_documented_with_its_default_and_limits(row: tuple) -> None:
    name, kind, limit, default = row[:4]
    assert name in ROWS, f"{name} is not in README.md"
    _, _, value, shown, _, _ = ROWS[name].split("|")
    if default is settings.REQUIRED:
        assert shown.strip() == "required"
    else:
        assert shown.strip() == ("null" if default is None else str(default))
    if kind == settings.CHOICE:
        assert value.strip() == ", ".join(limit)
    elif kind in (settings.INT, settings.OPTIONAL) and name != "uplink_offset_s":
        assert f"{limit[0]}…{limit[1]}" in value
    elif kind == settings.HEX:
        assert str(limit) in value


def test_nothing_is_documented_that_does_not_exist() -> None:
    known = {row[0] for row in [*settings.TABLE, *settings.CHANNEL_TABLE]}
    documented = set(ROWS) - {"totals", "epoch", "boot", "nonces", "session"}
    assert documented <= known
