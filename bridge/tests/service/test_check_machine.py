"""What `check-config` finds on the machine itself: files, certificates, disk, database, port."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bridge.tests.service.certificates import Authority
from bridge.tests.service.endpoint import endpoints
from bridge.tests.service.mosquitto import free_port
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.test_cli import configured, runs
from zaehlwerk_bridge.check_files import check_files
from zaehlwerk_bridge.check_finding import Finding, Findings, Verdict
from zaehlwerk_bridge.check_http import check_http
from zaehlwerk_bridge.check_store import check_store, file_system
from zaehlwerk_bridge.database import SCHEMA_VERSION
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.settings import Settings
from zaehlwerk_bridge.store import Store

EUI = "70b3d57ed0000001"


def one(findings: Findings, tried: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.tried.startswith(tried)]
    return finding


def not_ok(findings: Findings) -> list[tuple[str, Verdict]]:
    return [(finding.tried, finding.verdict) for finding in findings if finding.verdict is not Verdict.OK]


def settings_of(tmp_path: Path, **changes: Any) -> Settings:
    table: dict[str, Any] = {
        "database": tmp_path / "store" / "bridge.sqlite",
        "chirpstack": {"server": "c:1", "tenants": [], "api_key_file": tmp_path / "key"},
        "mqtt": {"host": "b"},
    }
    table["chirpstack"]["tenants"] = ["11111111-2222-3333-4444-555555555555"]
    for name, value in changes.items():
        section, _, setting = name.partition("_")
        table.setdefault(section, {})[setting] = value
    return Settings.model_validate(table)


def test_secrets_that_everybody_may_read_or_nobody_can_are_told(tmp_path: Path) -> None:
    key = tmp_path / "key"
    settings = settings_of(tmp_path)
    assert one(check_files(settings, Redactor()), "chirpstack.api_key_file").verdict is Verdict.WRONG
    key.touch(0o600)
    assert not_ok(check_files(settings, Redactor())) == []
    key.chmod(0o644)
    finding = one(check_files(settings, Redactor()), "chirpstack.api_key_file")
    assert (finding.verdict, finding.remedy) == (Verdict.NOTE, f"chmod o= {key}")


@pytest.mark.parametrize(
    ("lasts", "verdict", "text"),
    [
        (dt.timedelta(days=90), Verdict.OK, "good until"),
        (dt.timedelta(days=20), Verdict.NOTE, "good until"),
        (dt.timedelta(minutes=-1), Verdict.WRONG, "certificate has expired"),
    ],
)
def test_a_certificate_that_ends_soon_or_has_ended_is_told(
    tmp_path: Path, lasts: dt.timedelta, verdict: Verdict, text: str
) -> None:
    (tmp_path / "key").touch(0o600)
    cert_file, key_file = Authority(tmp_path / "authority").issue("bridge", lasts)
    settings = settings_of(tmp_path, mqtt_cert_file=cert_file, mqtt_key_file=key_file)
    finding = one(check_files(settings, Redactor()), "mqtt.cert_file")
    assert finding.verdict is verdict
    assert text in finding.text


def test_a_certificate_and_a_key_that_do_not_fit_are_told(tmp_path: Path) -> None:
    (tmp_path / "key").touch(0o600)
    authority = Authority(tmp_path / "authority")
    cert_file, key_file = authority.issue("bridge")[0], authority.issue("other")[1]
    settings = settings_of(tmp_path, chirpstack_cert_file=cert_file, chirpstack_key_file=key_file)
    assert "KEY_VALUES_MISMATCH" in one(check_files(settings, Redactor()), "chirpstack.cert_file").text


def test_a_place_without_database_is_right_if_one_can_be_made_there(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, store_low_water_mb=1)
    (finding,) = check_store(settings, Redactor())
    assert finding.verdict is Verdict.WRONG
    assert finding.remedy.startswith("install -d")
    (tmp_path / "store").mkdir()
    assert not_ok(check_store(settings, Redactor())) == []
    assert list((tmp_path / "store").iterdir()) == []


def test_too_little_space_is_told_before_the_bridge_stops_reading(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    verdicts = {
        mb: one(check_store(settings_of(tmp_path, store_low_water_mb=mb), Redactor()), "space").verdict
        for mb in (0, 1_000_000)
    }
    assert verdicts == {0: Verdict.OK, 1_000_000: Verdict.WRONG}


def test_the_schema_decides_whether_the_database_can_be_used(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, store_low_water_mb=0)
    path = settings.database
    path.parent.mkdir()
    Store(path).close()
    before = path.read_bytes()
    assert not_ok(check_store(settings, Redactor())) == []
    assert path.read_bytes() == before
    for version, verdict in ((SCHEMA_VERSION + 1, Verdict.WRONG), (SCHEMA_VERSION - 1, Verdict.NOTE)):
        with sqlite3.connect(path) as database:
            database.execute(f"PRAGMA user_version = {version}")
        database.close()
        finding = one(check_store(settings, Redactor()), "schema")
        assert finding.verdict is verdict
        assert f"schema {version}" in finding.text
    path.write_text("this is no database, " * 1000)
    assert not_ok(check_store(settings, Redactor())) == [("database", Verdict.WRONG)]


def test_a_database_that_somebody_holds_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zaehlwerk_bridge.check_store.BUSY_S", 0.1)
    settings = settings_of(tmp_path, store_low_water_mb=0)
    settings.database.parent.mkdir()
    Store(settings.database).close()
    other = sqlite3.connect(settings.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    finding = one(check_store(settings, Redactor()), "database")
    other.close()
    assert finding.verdict is Verdict.WRONG
    assert "database is locked" in finding.text


@pytest.mark.skipif(
    not Path("/proc/self").is_dir(), reason="only Linux has a directory that nobody can write"
)
def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    settings = settings_of(tmp_path).model_copy(update={"database": Path("/proc/bridge.sqlite")})
    assert one(check_store(settings, Redactor()), "directory").verdict is Verdict.WRONG


def test_a_file_system_over_a_network_is_seen(tmp_path: Path) -> None:
    """The longest mount point that holds the directory counts; a space in it is written as octal."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        "2 1 0:9 / /srv/city\\040data rw - nfs4 store:/x rw\n"
        "3 1 0:8 / /srv rw shared:2 - xfs /dev/sdb rw\n"
    )
    places = {"/var/lib": "ext4", "/srv/other": "xfs", "/srv/city data/bridge": "nfs4", "/srvx": "ext4"}
    assert {place: file_system(Path(place), mounts) for place in places} == places
    assert file_system(Path("/"), tmp_path / "none") == ""


async def test_a_port_is_free_taken_by_a_bridge_or_taken_by_somebody(rig: Rig) -> None:
    port = free_port()
    finding = one(check_http(rig.settings(http_port=port), Redactor()), "listen")
    assert (finding.verdict, finding.text) == (Verdict.OK, "free")
    async with rig.bridge(ready=False) as bridge:
        with endpoints(bridge) as used:
            settings = rig.settings(http_port=used)
            findings = await asyncio.to_thread(check_http, settings, Redactor())
            assert one(findings, "listen").text == "a bridge answers there already"
    findings = await asyncio.to_thread(check_http, rig.settings(http_port=rig.broker.port), Redactor())
    assert one(findings, "listen").verdict is Verdict.WRONG
    open_to_all = check_http(rig.settings(http_port=port, http_address="0.0.0.0"), Redactor())
    assert one(open_to_all, "listen").verdict is Verdict.NOTE
    assert one(check_http(rig.settings(http_port=0), Redactor()), "listen").verdict is Verdict.NOTE


async def test_the_command_tells_of_every_side_and_its_json_is_for_machines(rig: Rig) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    rig.key_file.chmod(0o600)
    path = configured(rig, extra="[store]\nlow_water_mb = 1")
    status, out, err = await runs("check-config", "--config", path, "--json")
    found = json.loads(out)
    assert (status, err, found["ok"]) == (0, "", True)
    assert {finding["side"] for finding in found["findings"]} == {
        "files",
        "chirpstack",
        "broker",
        "store",
        "http",
    }
    for finding in found["findings"]:
        assert set(finding) == {"side", "tried", "verdict", "text", "remedy"}
        assert finding["verdict"] in ("ok", "note")
