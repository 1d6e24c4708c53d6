"""Makes SETTINGS.md out of the settings themselves: `python -m zaehlwerk_bridge.settings_table > bridge/SETTINGS.md`."""

from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from zaehlwerk_bridge.settings import (
    ENVIRONMENT_DELIMITER,
    ENVIRONMENT_PREFIX,
    Section,
    Settings,
    StationSettings,
)

_INTRODUCTION = f"""# Settings of zaehlwerk-bridge

One TOML file, named by `--config`. A relative path in it is relative to the file. Every setting can be overridden by the
environment: `{ENVIRONMENT_PREFIX}` and the setting's path in capitals, `{ENVIRONMENT_DELIMITER}` between its parts
(`mqtt.host` is `{ENVIRONMENT_PREFIX}MQTT{ENVIRONMENT_DELIMITER}HOST`). Secrets are never settings: a setting names
the file that holds one, and the file is read again whenever a connection is made, so that a rotated key needs no restart.

This page is made from the code by `python -m zaehlwerk_bridge.settings_table`; a test compares them.
"""


def settings_markdown() -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION, "## Top of the file\n", _table(Settings, "")]
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            parts += [f"## `[{name}]`\n", f"{(section.__doc__ or '').strip()}\n", _table(section, f"{name}.")]
    parts += ['## `[stations."<DevEUI>"]`\n', f"{(StationSettings.__doc__ or '').strip()}\n"]
    parts.append(_table(StationSettings, ""))
    return "\n".join(parts)


def _table(model: type[BaseModel], prefix: str) -> str:
    lines = ["| setting | value | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if field.description is None or name == "stations":
            continue
        lines.append(f"| `{prefix}{name}` | {_kind(field)} | {_default(field)} | {field.description} |")
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if field.default is None:
        return "not set"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, str):
        return f'`"{field.default}"`'
    return f"`{field.default}`"


def _kind(field: FieldInfo) -> str:
    annotation: Any = field.annotation
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Literal:
        return ", ".join(f'`"{value}"`' for value in get_args(annotation))
    if get_origin(annotation) is list:
        return "list of texts"
    names = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`", Path: "path"}
    return names[annotation] + _bounds(field)


def _bounds(field: FieldInfo) -> str:
    bounds = ""
    for limit in field.metadata:
        if isinstance(limit, Ge):
            bounds += f", ≥ {limit.ge}"
        elif isinstance(limit, Gt):
            bounds += f", > {limit.gt}"
        elif isinstance(limit, Le):
            bounds += f", ≤ {limit.le}"
        elif isinstance(limit, Lt):
            bounds += f", < {limit.lt}"
        elif isinstance(limit, MaxLen):
            bounds += f", at most {limit.max_length} characters"
        elif isinstance(limit, MinLen):
            bounds += ", not empty"
    return bounds


if __name__ == "__main__":
    print(settings_markdown(), end="")
