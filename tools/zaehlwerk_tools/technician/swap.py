"""`zaehlwerk swap`: another node takes over a station; its topics and records go on, because they name the place and not the node.

The new device gets name and tags of the old one, then the old one is disabled: the server takes nothing of it any more, so from
that moment on the station's counts are the new node's. The old device keeps its tags, for what it sent before belongs to the
station, and gets one more, `replaced_at`. The bridge sees a new epoch and joins no totals of two nodes (docs/DECISIONS.md, Epochs).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chirpstack_api.api import device_pb2
from google.protobuf.empty_pb2 import Empty

from zaehlwerk_tools.gateway_backend.server_api import ServerApi
from zaehlwerk_tools.provisioning import ProvisioningError
from zaehlwerk_tools.slug import slug
from zaehlwerk_tools.technician.node_state import utc_text
from zaehlwerk_tools.technician.place import Place
from zaehlwerk_tools.technician.registration import (
    ask_server,
    find_application,
    only_tenant,
    register,
    wait_until_heard,
)
from zaehlwerk_tools.technician.server import Server
from zaehlwerk_tools.technician.troubles import SelfTestError, Status, TechnicianError, UnsuitableError
from zaehlwerk_tools.technician.unit import key_of
from zaehlwerk_tools.technician.unit_record import keep_record, kept_record, read_record, record_path

REPLACED_AT = "replaced_at"
"""Tag of a device that serves its station no longer: since when, UTC."""
_SAME = ("classes", "directions")
"""Tags that say what the channels of a station are: the new node must count the same, in the same order."""


@dataclass(frozen=True, slots=True)
class Swap:
    """What is asked for. `record`: the new unit's, as `provision` has kept it; `old`: the DevEUI that goes, if several serve."""

    station: str
    record: Path
    keys: Path
    server: Server
    old: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class _Old:
    """The device that goes; `since`: it was disabled then, by an earlier run."""

    device: Any
    since: str | None


def run_swap(swap: Swap, *, as_json: bool) -> int:
    """Swap; the exit status. Raises TechnicianError."""
    done = make_swap(swap, time.time())
    if as_json:
        sys.stdout.write(json.dumps(done, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(told(done) + "\n")
    return int(Status.DONE)


def told(done: dict[str, Any]) -> str:
    """What was done, in a line."""
    who = f"{done['station']}: {done['new']} for {done['old']}"
    if done["result"] == "would swap":
        return f"{who}: would be registered with its name and tags, and {done['old']} disabled; nothing was changed"
    if done["result"] == "unchanged":
        return f"{who}: swapped already at {done['at']}, nothing changed"
    heard = f"; heard: {done['heard']['heard']}" if done.get("heard") else ""
    return f"{who}: registered with its name and tags, the old one disabled at {done['at']}{heard}"


def make_swap(swap: Swap, now: float) -> dict[str, Any]:
    """What was done, as a record. Cut off anywhere, the same again goes on. Raises TechnicianError."""
    record = read_record(swap.record)
    _require_tested(swap.record, record)
    key = key_of(record, swap.keys)
    new = str(record["dev_eui"])
    old = asyncio.run(ask_server(swap.server, lambda api: _find(api, swap, new)))
    tags = {name: text for name, text in old.device.tags.items() if name != REPLACED_AT}
    place = Place(old.device.name, tags)
    _require_same_channels(swap, record, place)
    done: dict[str, Any] = {"station": swap.station, "old": old.device.dev_eui, "new": new, "at": old.since}
    if swap.dry_run:
        return {**done, "result": "would swap" if old.since is None else "unchanged", "status": 0}
    registered = register(swap.server, record, place, key)
    record["registration"] = registered.document
    record["station"] = {"name": place.name, "tags": tags}
    keep_record(swap.record, record)
    if old.since is None:
        done["at"] = utc_text(now)
        asyncio.run(ask_server(swap.server, lambda api: _disable(api, old.device, done["at"], new)))
    changed = old.since is None or registered.document["result"] == "registered"
    record.update(status=int(Status.DONE), swapped={"for": done["old"], "at": done["at"]})
    record.pop("error", None)
    keep_record(swap.record, record)
    done["old_record"] = _keep_old(record_path(swap.record.parent, done["old"]), new, done["at"])
    if swap.server.wait_s:
        done["heard"] = record["heard"] = wait_until_heard(swap.server, new, registered.before)
        keep_record(swap.record, record)
    return {**done, "result": "swapped" if changed else "unchanged", "status": 0}


def _require_tested(path: Path, record: dict[str, Any]) -> None:
    if not all(check.get("passed") for check in record.get("self_test", ())):
        raise SelfTestError(f"{path}: its self-test found a fault: mend that and provision it again")


def _require_same_channels(swap: Swap, record: dict[str, Any], place: Place) -> None:
    """Raises UnsuitableError: the new node is for another place, or would count under others' names."""
    station = record.get("station") or {}
    if slug(str(station.get("name", ""))) != slug(swap.station):
        named = station.get("name") or "no station"
        raise UnsuitableError(
            f"the settings of {record['dev_eui']} name {named} and not {swap.station}: take the right unit, or provision it "
            "with the station's settings"
        )
    tags = station.get("tags", {})
    for name in _SAME:
        if tags.get(name) != place.tags.get(name):
            raise UnsuitableError(
                f"{record['dev_eui']} has the {name} {tags.get(name)}, and the station {place.tags.get(name)}: its counts would "
                "get the wrong names; provision it with the station's channels"
            )


async def _find(api: ServerApi, swap: Swap, new: str) -> _Old:
    """The device that serves the station and goes."""
    tenant_id = swap.server.tenant_id or await only_tenant(api)
    application = await find_application(api, tenant_id, swap.server.application)
    if application is None:
        raise ProvisioningError(
            f"there is no application {swap.server.application!r}: name it by --application"
        )
    serving = [
        device async for device in _devices(api, application.id, swap.station) if device.dev_eui != new
    ]
    if swap.old is not None:
        serving = [device for device in serving if device.dev_eui == swap.old.lower()]
    active = [device for device in serving if not device.is_disabled]
    gone = [device for device in serving if device.is_disabled and REPLACED_AT in device.tags]
    if len(active) > 1:
        names = ", ".join(device.dev_eui for device in active)
        raise ProvisioningError(
            f"several nodes serve {swap.station}: name the one that goes by --old: {names}"
        )
    if active:
        return _Old(active[0], None)
    if gone:
        last = max(gone, key=lambda device: str(device.tags[REPLACED_AT]))
        return _Old(last, str(last.tags[REPLACED_AT]))
    raise ProvisioningError(
        f"no {'such ' if swap.old else ''}node serves {swap.station} in {swap.server.application!r}: check the name"
        f"{' and --old' if swap.old else ''}; a new station is for `zaehlwerk register`"
    )


async def _devices(api: ServerApi, application_id: str, station: str) -> Any:
    request = device_pb2.ListDevicesRequest(application_id=application_id)
    async for entry in api.entries("DeviceService/List", request, device_pb2.ListDevicesResponse):
        # Without a tag a station is named as its device is; a server that lists no tags is asked for each device.
        if entry.tags and slug(entry.tags.get("station") or entry.name) != slug(station):
            continue
        get = device_pb2.GetDeviceRequest(dev_eui=entry.dev_eui)
        device: Any = (await api.call("DeviceService/Get", get, device_pb2.GetDeviceResponse)).device
        if slug(device.tags.get("station") or device.name) == slug(station):
            yield device


async def _disable(api: ServerApi, device: Any, at: str, new: str) -> None:
    device.is_disabled = True
    device.tags[REPLACED_AT] = at
    device.description = f"{device.description}\n{at}: replaced by {new}".strip()
    await api.call("DeviceService/Update", device_pb2.UpdateDeviceRequest(device=device), Empty)


def _keep_old(path: Path, new: str, at: str) -> str | None:
    """Its record says that it is gone; where that is, None if there is none here."""
    try:
        record = kept_record(path)
    except TechnicianError:
        return None
    if not record:
        return None
    record["swapped"] = {"by": new, "at": at}
    keep_record(path, record)
    return str(path)
