"""`zaehlwerk simulate --network chirpstack …`: what it asks for, what it refuses, and what it makes of it."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools.tests.city.conftest import perfect, result_of
from zaehlwerk_tools.cli import main
from zaehlwerk_tools.gateway_backend.addresses import PASSWORD_VARIABLE
from zaehlwerk_tools.gateway_backend.played_day import lead_s
from zaehlwerk_tools.gateway_backend.topics import Topics
from zaehlwerk_tools.local_time import NS, SLOT_S, start_of_slot
from zaehlwerk_tools.plan import OutageKind, Plan
from zaehlwerk_tools.result import CityResult, Progress

SECRET = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.hidden"
TENANT = "52f14cd4-c6f1-4fbd-8f87-4025e1d49242"


@dataclass
class Ended:
    status: int
    out: str
    err: str


class FakeCity:
    """Stands in for the city: a perfect one."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []

    async def run_city(self, plan: Plan, progress: Callable[[Progress], None]) -> CityResult:
        self.plans.append(plan)
        progress(Progress(plan.start_ns - NS, 0, 0, 0, 0, "start"))
        return result_of(
            perfect(plan), fallbacks=["downlinks from it: 3"], artifacts={"network.json": "{}\n"}
        )

    @property
    def plan(self) -> Plan:
        (plan,) = self.plans
        return plan


@pytest.fixture
def city(monkeypatch: pytest.MonkeyPatch) -> FakeCity:
    fake = FakeCity()
    module = types.ModuleType("zaehlwerk_tools.city")
    module.run_city = fake.run_city  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "zaehlwerk_tools.city", module)
    return fake


@pytest.fixture
def simulate(
    city: FakeCity, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ended]:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text(f"{SECRET}\n", encoding="ascii")

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["zaehlwerk", "simulate", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return run


Run = Callable[..., Ended]
WHERE = ("--mqtt-url", "mqtt://broker", "--api-url", "http://server:8080", "--api-key-file", "key")
REAL = ("--network", "chirpstack", *WHERE, "--stations", "neutor", "--play-from", "07:30")


def test_the_options_become_the_plan(city: FakeCity, simulate: Run, tmp_path: Path) -> None:
    before = datetime.now(UTC).timestamp()
    words = "--minutes 45 --mqtt-topic-prefix at_home --mqtt-json --keep --tenant-id"
    ended = simulate(*REAL, *words.split(), TENANT.upper())
    assert ended.status == 0
    plan = city.plan
    server = plan.server
    assert server is not None
    assert (str(server.mqtt), str(server.api)) == ("broker:1883", "server:8080")
    assert server.topics == Topics("at_home")
    assert (server.in_json, server.keep, server.tenant_id) == (True, True, TENANT)
    assert server.api_key_file == tmp_path / "key"
    assert f"{server.table_start}" == "2026-06-15 07:30:00"
    assert plan.loss == 0, "in real time nobody waits for what was lost on purpose"
    assert len(plan.slots) == 3
    wait_s = plan.slots.start * SLOT_S - before
    assert lead_s(1) <= wait_s <= lead_s(1) + SLOT_S + 60
    assert plan.first_day == start_of_slot(plan.slots.start).date()
    assert "The counts are those from 2026-06-15 07:30 on" in plan.city.source
    assert plan.city.source.startswith("Stadt"), "whose data they are is said as ever"


def test_a_person_is_told_how_long_to_wait_and_what_passed(city: FakeCity, simulate: Run) -> None:
    ended = simulate(*REAL, "--minutes", "15")
    begin, end = (start_of_slot(slot) for slot in (city.plan.slots.start, city.plan.slots.stop))
    assert (
        f"ChirpStack at server:8080, gateways at broker:1883: counting from {begin:%H:%M} to {end:%H:%M}"
        in ended.err
    )
    assert "note: downlinks from it: 3" in ended.out


def test_results_go_where_they_are_told_from_those_of_the_stand_in(
    city: FakeCity, simulate: Run, tmp_path: Path
) -> None:
    simulate(*REAL)
    (folder,) = (tmp_path / "out").iterdir()
    over_midnight = "-2-days" if city.plan.days == 2 else ""
    assert folder.name == f"chirpstack-{city.plan.first_day}{over_midnight}"
    assert {path.name for path in folder.iterdir()} == {"network.json", "report.html", "result.json"}


def test_losses_and_outages_may_still_be_asked_for(city: FakeCity, simulate: Run) -> None:
    simulate(*REAL, "--loss", "0.2", "--outage", "radio:neutor@12:00+30")
    plan = city.plan
    assert plan.loss == 0.2
    (outage,) = plan.outages
    assert (outage.kind, outage.end_ns - outage.start_ns) == (OutageKind.RADIO, 1800 * NS)
    assert outage.start_ns // NS % 86_400 in {10 * 3600, 11 * 3600}, "noon in Berlin of the real day"


def test_every_run_is_somebody_else(city: FakeCity, simulate: Run) -> None:
    simulate(*REAL)
    simulate(*REAL)
    first, second = (plan.server for plan in city.plans)
    assert first is not None
    assert second is not None
    assert first.identity != second.identity


def test_a_password_comes_from_its_file(city: FakeCity, simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hidden\n", encoding="ascii")
    words = [word.replace("mqtt://broker", "mqtt://gateway@broker") for word in REAL]
    ended = simulate(*words, "--mqtt-password-file", "password")
    assert city.plan.server is not None
    assert (city.plan.server.mqtt.username, city.plan.server.mqtt.password) == ("gateway", "hidden")
    assert "hidden" not in ended.out + ended.err + repr(city.plan)


def test_the_key_is_in_no_plan_and_no_output(city: FakeCity, simulate: Run) -> None:
    ended = simulate(*REAL)
    assert SECRET not in ended.out + ended.err + repr(city.plan)


def without(option: str) -> list[str]:
    words = list(REAL)
    at = words.index(option)
    return words[:at] + words[at + 2 :]


def replaced(option: str, value: str) -> list[str]:
    return [*without(option), option, value]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--network", "ttn"], "--network ttn: expected stand-in or chirpstack"),
        (["--network", "chirpstack"], "also needs --mqtt-url and --api-url and --api-key-file"),
        (without("--mqtt-url"), "--network chirpstack also needs --mqtt-url"),
        (without("--network"), "--mqtt-url is for a real network server: --network chirpstack"),
        (["--minutes", "15"], "--minutes is for a real network server"),
        (["--keep"], "--keep is for a real network server"),
        (replaced("--mqtt-url", "broker:1883"), "--mqtt-url 'broker:1883': expected mqtt://"),
        (replaced("--mqtt-url", "mqtt://u:hidden@broker"), "put it into a file"),
        (replaced("--api-url", "server"), "--api-url 'server': expected http://"),
        (replaced("--api-key-file", "missing"), "--api-key-file missing: cannot be read: No such file"),
        ([*REAL, "--mqtt-topic-prefix", "eu868/"], "--mqtt-topic-prefix 'eu868/': expected the topic_prefix"),
        ([*REAL, "--mqtt-password-file", "key"], "names no user"),
        ([*REAL, "--tenant-id", "mine"], "--tenant-id mine: expected a tenant's id"),
        ([*REAL, "--ca-file", "key"], "--ca-file is given but neither"),
        ([*REAL, "--real-time", "2"], "always runs by the clock"),
        ([*REAL, "--days", "2"], "say --minutes"),
        ([*REAL, "--minutes", "0"], "--minutes 0: expected at least 1"),
        ([*REAL, "--minutes", "soon"], "--minutes"),
        (replaced("--play-from", "07:31"), "--play-from 07:31: expected the local time of a quarter-hour"),
        ([*REAL, "--day", "2026-07-01"], "the day 2026-07-01 is missing"),
        ([*REAL, "--stations", "neutro"], "unknown station 'neutro'"),
    ],
)
def test_what_does_not_fit_is_one_line_with_exit_status_2(
    city: FakeCity, simulate: Run, words: list[str], says: str
) -> None:
    ended = simulate(*words)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("zaehlwerk: ")
    assert says in ended.err
    assert "hidden" not in ended.err
    assert city.plans == []


def test_the_help_says_what_is_needed(simulate: Run) -> None:
    ended = simulate("--help")
    assert ended.status == 0
    for option in ("--network", "--mqtt-url", "--mqtt-topic-prefix", "--api-key-file", "--minutes", "--keep"):
        assert option in ended.out


def test_the_demo_stays_in_software(
    simulate: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["zaehlwerk", "demo", "--network", "chirpstack"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--network" in capsys.readouterr().err
