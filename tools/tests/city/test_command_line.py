"""The command `zaehlwerk`: exit statuses, one line of JSON, one line for every error, nothing half-written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tools.tests.city.conftest import BUNDLED, DAY, Tables, local_times, perfect, result_of, table_text
from zaehlwerk_tools.cli import main
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.plan import OutageKind, Plan
from zaehlwerk_tools.result import CityResult, Progress

CONTRACT = (
    *("pulses", "published", "lost", "duplicated", "intervals", "intervals_exact", "spans", "uplinks_sent"),
    *("uplinks_lost", "payload_bytes_mean", "broker_dropped", "wall_s", "virtual_s"),
)
Show = Callable[[Progress], None]


class FakeCity:
    """Stands in for the city: a perfect one, unless told otherwise."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.ends: Callable[[Plan], CityResult] = lambda plan: result_of(perfect(plan))

    async def run_city(self, plan: Plan, progress: Show) -> CityResult:
        self.plans.append(plan)
        assert plan.workdir.is_dir()
        (plan.workdir / "ledger.sqlite").write_text("not for keeps", encoding="utf-8")
        for phase, at in (("start", plan.start_ns - 1), ("run", plan.start_ns), ("settle", plan.end_ns)):
            progress(Progress(at, 0, 0, 0, 0, phase))
        return self.ends(plan)


@pytest.fixture
def city(monkeypatch: pytest.MonkeyPatch) -> FakeCity:
    fake = FakeCity()
    module = types.ModuleType("zaehlwerk_tools.city")
    module.run_city = fake.run_city  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "zaehlwerk_tools.city", module)
    return fake


@dataclass
class Ended:
    status: int
    out: str
    err: str


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ended]:
    def run_it(*words: str) -> Ended:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["zaehlwerk", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return run_it


Run = Callable[..., Ended]


def test_the_demo_is_the_bundled_city_s_thursday(city: FakeCity, run: Run, tmp_path: Path) -> None:
    ended = run("demo")
    assert ended.status == 0
    (plan,) = city.plans
    assert (plan.city.path, plan.first_day, plan.days, plan.loss) == (BUNDLED, DAY, 1, 0.1)
    assert len(plan.stations) == 23
    assert "146,121" in ended.out
    report = tmp_path / "out/2026-06-18/report.html"
    assert f"report: {report}" in ended.out
    assert report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert not plan.workdir.exists(), "the run's own files are gone afterwards"


def test_the_last_line_of_json_is_the_only_one_on_standard_output(city: FakeCity, run: Run) -> None:
    ended = run("demo", "--json", "--stations", "neutor")
    assert ended.out.count("\n") == 1
    numbers = json.loads(ended.out)
    assert tuple(numbers)[: len(CONTRACT)] == CONTRACT
    assert (numbers["pulses"], numbers["published"], numbers["lost"], numbers["duplicated"]) == (
        7975,
        7975,
        0,
        0,
    )
    assert (numbers["intervals"], numbers["intervals_exact"], numbers["spans"]) == (192, 192, 0)
    assert (numbers["payload_bytes_mean"], numbers["broker_dropped"]) == (16.0, 0)
    assert "Neutor" in ended.err


def test_the_table_for_people_fits_80_columns_without_any_colour(city: FakeCity, run: Run) -> None:
    ended = run("simulate", "--days", "7")
    assert "\x1b" not in ended.out + ended.err
    table = [line for line in ended.out.splitlines() if "/1344" in line or "/34944" in line]
    assert len(table) >= 21
    assert all(len(line.rstrip()) <= 80 for line in table)
    assert all(line.rstrip().endswith("exact") for line in table)
    assert "3.4 MB a board process, 210.0 MB the whole run" in ended.out


def test_progress_is_told_aside_where_there_is_no_terminal(city: FakeCity, run: Run) -> None:
    ended = run("demo", "--stations", "neutor")
    assert "starting Wed 23:59" in ended.err
    assert "uplinks" in ended.err


@pytest.mark.parametrize("spoil", ["lose", "double", "shift"])
def test_exit_status_1_if_anything_is_lost_doubled_or_misplaced(city: FakeCity, run: Run, spoil: str) -> None:
    def end(plan: Plan) -> CityResult:
        held = perfect(plan)
        if spoil == "lose":
            held.pop(40)
        elif spoil == "double":
            held.append(replace(held[40], id="again"))
        else:
            held[40] = replace(
                held[40], start_s=(held[40].start_s or 0) + 900, end_s=(held[40].end_s or 0) + 900
            )
        return result_of(held)

    city.ends = end
    ended = run("demo", "--stations", "neutor", "--json")
    assert ended.status == 1
    numbers = json.loads(ended.out)
    key = {"lose": "lost", "double": "duplicated", "shift": "misplaced"}[spoil]
    assert numbers[key] > 0
    assert "NOT EXACT" in ended.err
    assert "fault: Neutor" in ended.err


def test_a_broker_that_dropped_is_refused_and_nothing_is_written(
    city: FakeCity, run: Run, tmp_path: Path
) -> None:
    city.ends = lambda plan: result_of(perfect(plan), broker_dropped=3)
    ended = run("demo", "--json", "--stations", "neutor")
    assert (ended.status, ended.out) == (2, "")
    assert "zaehlwerk: the broker dropped 3 messages" in ended.err
    assert not (tmp_path / "out").exists()


def test_a_broker_that_cannot_tell_what_it_dropped_is_no_zero(city: FakeCity, run: Run) -> None:
    city.ends = lambda plan: result_of(perfect(plan), broker_dropped=None, run_memory=None)
    ended = run("demo", "--json", "--stations", "neutor")
    assert json.loads(ended.out)["broker_dropped"] is None
    assert "broker dropped not told" in ended.err
    assert "not measured the whole run" in ended.err


def test_an_error_in_the_middle_of_a_run_is_one_line_and_leaves_nothing(
    city: FakeCity, run: Run, tmp_path: Path
) -> None:
    def end(plan: Plan) -> CityResult:
        raise BrokerError("the broker /x/mosquitto on 127.0.0.1:1 ended with status -9")

    city.ends = end
    ended = run("demo", "--out", "results")
    assert ended.status == 2
    assert (
        ended.err.splitlines()[-1] == "zaehlwerk: the broker /x/mosquitto on 127.0.0.1:1 ended with status -9"
    )
    assert not (tmp_path / "results").exists()
    assert not city.plans[0].workdir.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["demo", "--stations", "neutro"], "unknown station 'neutro'"),
        (
            ["simulate", "--day", "2026-07-01"],
            "the day 2026-07-01 is missing, the table has 2026-06-15 to 2026-06-21",
        ),
        (["simulate", "--day", "2026-06-20", "--days", "3"], "the day 2026-06-22 is missing"),
        (["simulate", "--day", "18.6.2026"], "--day 18.6.2026: expected a date as YYYY-MM-DD"),
        (["simulate", "--days", "0"], "--days 0: expected at least 1"),
        (["simulate", "--data", "nowhere"], "nowhere: no such directory with tables"),
        (["demo", "--loss", "1"], "--loss 1.0: expected a share from 0 to below 1"),
        (["demo", "--loss", "nan"], "--loss nan"),
        (["demo", "--loss", "much"], "--loss"),
        (["demo", "--bits", "16"], "--bits 16: expected 64, or 32"),
        (["demo", "--real-time", "0"], "--real-time 0.0"),
        (["demo", "--broker", "localhost"], "--broker localhost: expected HOST:PORT"),
        (["demo", "--broker-port", "70000"], "--broker-port"),
        (["demo", "--outage", "power@12:00+5"], "a power outage names one"),
        (["demo", "--outage", "gateway:neutor@12:00+5"], "a gateway outage names no station"),
        (["demo", "--outage", "gateway@25:00+5"], "hour must be in 0..23"),
        (["demo", "--stations", "neutor", "--outage", "power:bohlweg@12:00+5"], "does not take part"),
        (["demo", "--outage", "sometimes"], "expected KIND[:STATION]@"),
        (["demo", "--out", "/proc/nothing"], "cannot write to /proc/nothing"),
        (["demo", "--nonsense"], "--nonsense"),
        (["fly"], "'fly'"),
        (["decode", "84", "--port", "1"], "not a frame of FPort 1"),
        (["decode", "84"], "--port"),
    ],
)
def test_what_cannot_be_run_is_one_line_with_exit_status_2(
    city: FakeCity, run: Run, tmp_path: Path, words: list[str], says: str
) -> None:
    ended = run(*words)
    assert ended.status == 2
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("zaehlwerk: ")
    assert says in ended.err
    assert city.plans == []
    assert list(tmp_path.iterdir()) == []


def test_a_broken_table_is_told_with_file_and_line(city: FakeCity, run: Run, tables: Tables) -> None:
    path = tables.write("a.csv", table_text(local_times(DAY), lambda row, channel: "x" if row == 7 else 1))
    ended = run("simulate", "--data", str(tables.path))
    assert (ended.status, ended.err) == (
        2,
        f"zaehlwerk: {path}, line 9: column 2: 'x' is not a whole number; an empty cell means not observed\n",
    )


def test_results_replace_those_of_before_and_nothing_else(city: FakeCity, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "results"
    out.mkdir()
    (out / "report.html").write_text("old", encoding="utf-8")
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    city.ends = lambda plan: result_of(perfect(plan), artifacts={"ledger.txt": "line\n"})
    assert run("demo", "--stations", "neutor", "--out", str(out)).status == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "ledger.txt",
        "mine.txt",
        "report.html",
        "result.json",
    ]
    assert (out / "report.html").read_text(encoding="utf-8") != "old"
    assert json.loads((out / "result.json").read_text(encoding="utf-8"))["exact"] is True


def test_options_become_the_plan(city: FakeCity, run: Run) -> None:
    words = "--stations neutor --loss 0.5 --seed 7 --bits 32 --broker-port 1999 --real-time 60"
    run(
        "demo", *words.split(), "--outage", "power:neutor@12:07+30", "--outage", "gateway@2026-06-18T00:00+15"
    )
    (plan,) = city.plans
    assert (plan.loss, plan.seed, plan.bits, plan.broker_port, plan.real_time) == (0.5, 7, 32, 1999, 60)
    assert plan.topic_prefix == "zaehlwerk"
    power, gateway = plan.outages
    assert (power.kind, power.station, gateway.kind, gateway.station) == (
        OutageKind.POWER,
        "neutor",
        OutageKind.GATEWAY,
        "",
    )
    assert power.start_ns - plan.start_ns == (12 * 60 + 7) * 60 * 10**9
    assert power.end_ns - power.start_ns == 30 * 60 * 10**9
    assert gateway.start_ns == plan.start_ns


def test_without_the_extra_the_error_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("zaehlwerk_tools.extra.NEEDS", ("a_module_that_nobody_has",))
    ended = run("demo")
    assert (ended.status, ended.err) == (
        2,
        "zaehlwerk: a_module_that_nobody_has is not installed: a city in software needs pip install 'zaehlwerk[sim]'\n",
    )


def test_an_interrupted_run_says_so_and_leaves_nothing(city: FakeCity, run: Run, tmp_path: Path) -> None:
    def end(plan: Plan) -> CityResult:
        raise KeyboardInterrupt

    city.ends = end
    ended = run("demo", "--stations", "neutor")
    assert ended.status == 130
    assert ended.err.splitlines()[-1] == "zaehlwerk: interrupted"
    assert not (tmp_path / "out").exists()


def test_a_terminated_run_ends_what_it_started(tmp_path: Path) -> None:
    """SIGTERM reaches the city as a cancellation, so that broker and boards are ended and the files are gone."""
    code = (
        "import asyncio, sys, types\n"
        "async def run_city(plan, progress):\n"
        "    print(plan.workdir, flush=True)\n"
        "    try:\n        await asyncio.Event().wait()\n"
        "    finally:\n        print('ended', flush=True)\n"
        "city = sys.modules['zaehlwerk_tools.city'] = types.ModuleType('zaehlwerk_tools.city')\n"
        "city.run_city = run_city\n"
        "sys.argv = ['zaehlwerk', 'demo', '--stations', 'neutor']\n"
        "from zaehlwerk_tools.cli import main\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        workdir = Path(process.stdout.readline().strip())
        assert workdir.is_dir()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "ended\n", "zaehlwerk: interrupted\n")
    assert not workdir.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_help_names_the_commands(run: Run, words: list[str]) -> None:
    ended = run(*words)
    assert ended.status == 0
    assert all(name in ended.out for name in ("demo", "simulate", "decode"))


@pytest.mark.parametrize("command", ["demo", "simulate", "decode"])
def test_every_command_s_help_has_an_example(run: Run, command: str) -> None:
    ended = run(command, "--help")
    assert ended.status == 0
    assert f"Example: zaehlwerk {command}" in ended.out


def test_version(run: Run) -> None:
    ended = run("--version")
    assert ended.status == 0
    assert ended.out.startswith("zaehlwerk ")


def test_decode_loads_nothing_of_the_simulator_or_the_bridge() -> None:
    """A technician's laptop has neither."""
    code = (
        "import sys\n"
        "sys.argv = ['zaehlwerk', 'decode', '8414014403e807d04403040506', '--port', '1']\n"
        "from zaehlwerk_tools.cli import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "heavy = {'grpc', 'paho', 'chirpstack_api', 'zaehlwerk_bridge', 'sqlite3', 'zaehlwerk_tools.local_time'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "1000 | 2000" in ended.stdout
