"""The tables of settings in README.md, made from the table in code: `python -m firmware.tests.settings_tables` renews them."""

from __future__ import annotations

import sys
from pathlib import Path

FIRMWARE = Path(__file__).parent.parent
README = FIRMWARE / "README.md"

for path in (FIRMWARE / "tests" / "shims", FIRMWARE.parent / "protocol", FIRMWARE):
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))

from app import settings  # noqa: E402

HEAD = "| setting | key | value | default | meaning |\n|---|---|---|---|---|\n"


def row_text(row: tuple) -> str:
    """A row of `settings.TABLE` or `settings.CHANNEL_TABLE` as README.md has it."""
    name, kind, limit, default, meaning = row[:5]
    if kind == settings.HEX:
        value = f"{limit} hex digits"
    elif kind == settings.WORD:
        value = f"at most {limit} letters, digits, `_`"
    elif kind == settings.CHOICE:
        value = ", ".join(limit)
    elif kind == "list":
        value = f"{limit[0]} to {limit[1]}"
    else:
        value = f"{limit[0]}…{limit[1]}" + (" or null" if kind == settings.OPTIONAL else "")
    shown = "required" if default is settings.REQUIRED else "null" if default is None else default
    kinds = row[5] if len(row) > 6 else settings.KINDS
    if kinds != settings.KINDS:
        meaning += f" ({', '.join(kinds)})"
    return f"| `{name}` | `{row[-1]}` | {value} | {shown} | {meaning} |\n"


def renewed(text: str) -> str:
    """`text` with both tables as the code has them. Raises ValueError where the marks around a table are missing."""
    for mark, rows in (("settings", settings.TABLE), ("channel", settings.CHANNEL_TABLE)):
        before, _, rest = text.partition(f"<!-- {mark} -->\n")
        _, end, after = rest.partition(f"<!-- /{mark} -->\n")
        if not end:
            raise ValueError(f"README.md has no table between <!-- {mark} --> and <!-- /{mark} -->")
        table = HEAD + "".join(row_text(row) for row in rows)
        text = f"{before}<!-- {mark} -->\n{table}{end}{after}"
    return text


if __name__ == "__main__":
    README.write_text(renewed(README.read_text()))
