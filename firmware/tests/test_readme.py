"""The README's tables of settings are the table in code, which every setting is in with a key of its own."""

from __future__ import annotations

import pytest

from app import settings
from firmware.tests import settings_tables

README = settings_tables.README.read_text()
TABLES = {"settings": settings.TABLE, "channel": settings.CHANNEL_TABLE}


def test_the_tables_are_those_of_the_code() -> None:
    assert settings_tables.renewed(README) == README, "run python -m firmware.tests.settings_tables"


@pytest.mark.parametrize("row", [*settings.TABLE, *settings.CHANNEL_TABLE], ids=lambda row: row[0])
def test_every_setting_is_documented_once_with_its_key_default_and_limits(row: tuple) -> None:
    text = settings_tables.row_text(row)
    table = settings.TABLE if row in settings.TABLE else settings.CHANNEL_TABLE
    mark = "settings" if table is settings.TABLE else "channel"
    section = README.split(f"<!-- {mark} -->")[1].split(f"<!-- /{mark} -->")[0]
    assert section.count(text) == 1
    assert [cell.strip() for cell in text.split("|")][1:3] == [f"`{row[0]}`", f"`{row[-1]}`"]
    assert all(cell.strip() for cell in text.split("|")[1:-1])


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_setting_has_a_key_that_no_other_has(table: tuple) -> None:
    names, keys = [row[0] for row in table], [row[-1] for row in table]
    assert all(type(key) is int and 0 < key < 100 for key in keys)
    assert len(set(keys)) == len(keys)
    assert not any(name.isdigit() for name in names)


def test_a_table_without_its_marks_is_named() -> None:
    with pytest.raises(ValueError, match="<!-- channel -->"):
        settings_tables.renewed(README.replace("<!-- channel -->", ""))
