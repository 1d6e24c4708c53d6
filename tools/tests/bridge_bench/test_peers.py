"""How peers are had and started, and what becomes of a comparison where one cannot be had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zaehlwerk_tools.bridge_bench import command
from zaehlwerk_tools.bridge_bench.offered import Offer
from zaehlwerk_tools.bridge_bench.peers import benthos
from zaehlwerk_tools.bridge_bench.peers.benthos import Benthos, Way, fetch_benthos
from zaehlwerk_tools.bridge_bench.peers.known import PEERS
from zaehlwerk_tools.bridge_bench.peers.naive_peer import Naive
from zaehlwerk_tools.bridge_bench.peers.node_red import NodeRed, fetch_node_red
from zaehlwerk_tools.bridge_bench.peers.peer import PeerMissing, run_fetcher
from zaehlwerk_tools.plan import Broker

BROKER = Broker("127.0.0.1", 2345)


ENTRY = next(Offer(10, 1_782_000_000).counts())
TOPIC = "bench/v1/station-0/count"
PAYLOAD = '{"station":"station-0","records":[{"channels":[{"count":7,"coverage":1.0}]}],"supersedes":[]}'


def test_benthos_differs_from_one_of_its_ways_to_the_next_in_what_it_reads_and_in_its_buffer(
    tmp_path: Path,
) -> None:
    settings = {way: Benthos(tmp_path, way).settings(tmp_path, 6400, BROKER) for way in Way}
    assert settings[Way.SQLITE].pop("buffer") == {"sqlite": {"path": str(tmp_path / "benthos.sqlite")}}
    assert settings[Way.SQLITE] == settings[Way.COPYING]
    assert "buffer" not in {key for one in settings.values() for key in one}
    assert len({json.dumps(one["output"]) for one in settings.values()}) == 1
    assert len({json.dumps(one["input"]) for one in settings.values()}) == 3


@pytest.mark.parametrize("way", Way)
def test_benthos_is_started_with_its_settings_in_a_file(way: Way, tmp_path: Path) -> None:
    peer = Benthos(tmp_path / "benthos", way)
    assert peer.name == way.value
    words = peer.words(tmp_path, 6400, BROKER, {})
    assert words[0] == tmp_path / "benthos"
    written = json.loads(Path(words[-1]).read_text(encoding="utf-8"))
    assert written == peer.settings(tmp_path, 6400, BROKER)
    assert "127.0.0.1:6400" in json.dumps(written["input"])
    assert "127.0.0.1:2345" in json.dumps(written["output"])


def test_benthos_without_a_buffer_finds_the_same_bytes_as_the_bridge_and_how_to_read_them(
    tmp_path: Path,
) -> None:
    peer = Benthos(tmp_path, Way.UNBUFFERED)
    assert peer.fields(ENTRY, TOPIC, PAYLOAD) == {"up": ENTRY.value, "topic": TOPIC, "payload": PAYLOAD}
    (redis, read, told) = _reading(peer.settings(tmp_path, 6400, BROKER))
    assert redis["body_key"] == "up"
    (folder,) = read["protobuf"]["import_paths"]
    assert list(Path(folder).rglob("integration.proto"))
    assert read["protobuf"]["message"] == "integration.UplinkEvent"
    assert 'meta("payload")' in told["mapping"]


def test_benthos_finds_json_as_chirpstacks_codec_would_have_made_it(tmp_path: Path) -> None:
    peer = Benthos(tmp_path, Way.JSON)
    ((name, text),) = peer.fields(ENTRY, TOPIC, PAYLOAD).items()
    (redis, mapped) = _reading(peer.settings(tmp_path, 6400, BROKER))
    assert redis["body_key"] == name
    assert "this.object" in mapped["mapping"]
    event = json.loads(str(text))
    assert event["deviceInfo"]["devEui"] == ENTRY.dev_eui
    assert event["object"] == {"topic": TOPIC, "message": json.loads(PAYLOAD)}


def _reading(settings: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The stream's settings, and what is done with each message."""
    return settings["input"]["redis_streams"], *settings["input"]["processors"]


def test_other_peers_find_the_uplink_and_the_finished_message_only_where_they_cannot_look_it_up(
    tmp_path: Path,
) -> None:
    assert Naive().fields(ENTRY, TOPIC, PAYLOAD) == {"up": ENTRY.value}
    told = NodeRed(tmp_path).fields(ENTRY, TOPIC, PAYLOAD)
    assert told == {"up": ENTRY.value, "topic": TOPIC, "payload": PAYLOAD}


def test_a_flow_of_node_red_reads_the_stream_and_publishes_with_qos_1(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    (installed / "node_modules").mkdir(parents=True)
    home = tmp_path / "run"
    home.mkdir()
    NodeRed(installed).words(home, 6400, BROKER, {})
    flows = {node["id"]: node for node in json.loads((home / "node-red" / "flows.json").read_text())}
    assert flows["read"]["wires"] == [["publish"]]
    assert 'new Redis(6400, "127.0.0.1")' in flows["read"]["initialize"]
    assert "device:stream:event" in flows["read"]["initialize"]
    assert (flows["publish"]["qos"], flows["broker"]["port"]) == ("1", "2345")


def test_what_is_there_is_not_fetched_again_unless_it_is_made_of_other_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def fetcher(_name: str, words: list[str], folder: Path, _environment: object) -> None:
        fetched.append(words)
        (folder / "benthos.new").touch()

    monkeypatch.setattr(benthos, "run_fetcher", fetcher)
    there = fetch_benthos(tmp_path)
    assert there == tmp_path / ".runtime" / "peers" / "benthos-4.27.0" / "benthos"
    assert fetch_benthos(tmp_path) == there
    assert len(fetched) == 1
    (there.parent / "main.go").write_text("package main", encoding="utf-8")
    assert fetch_benthos(tmp_path) == there
    assert len(fetched) == 2


def test_what_could_not_be_fetched_is_not_taken_for_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / ".runtime" / "peers" / "benthos-4.27.0" / "benthos"
    there.parent.mkdir(parents=True)
    there.touch()
    monkeypatch.setenv("PATH", "")
    for _ in range(2):
        with pytest.raises(PeerMissing):
            fetch_benthos(tmp_path)


def test_a_peer_without_its_registrys_client_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PeerMissing, match="--peer benthos: it is fetched by go, which is not installed"):
        fetch_benthos(tmp_path)
    with pytest.raises(PeerMissing, match=r"--peer node-red: it runs on Node\.js"):
        fetch_node_red(tmp_path)
    assert not list(tmp_path.glob(".runtime/peers/*/benthos"))


def test_what_a_registrys_client_said_last_is_told(tmp_path: Path) -> None:
    words = ["sh", "-c", "echo first; echo no such module; exit 3"]
    with pytest.raises(PeerMissing, match="--peer benthos: sh cannot fetch it: no such module"):
        run_fetcher("benthos", words, tmp_path, {})


@pytest.mark.parametrize(
    ("lost", "status"), [(0, command.EXIT_PEER_MISSING), (1, command.EXIT_LOST)], ids=["kept", "lost"]
)
def test_the_others_are_measured_without_a_peer_that_cannot_be_had(
    lost: int, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[str] = []

    def bench(
        _checkout: Path, source: str, messages: int, _runs: int, peers: object, _tell: object
    ) -> object:
        measured.extend(peer.name for peer in peers)  # type: ignore[attr-defined]
        return {"source": source, "messages": messages, "lost": lost, "peers": {}}

    def missing(_checkout: Path) -> list[object]:
        raise PeerMissing("--peer benthos: there is none")

    monkeypatch.setattr(command, "bench_bridge", bench)
    monkeypatch.setattr(command, "PEERS", {**PEERS, "benthos": missing})
    assert command.run(10, "redis", None, ["benthos", "naive"], as_json=True) == status
    out, err = capsys.readouterr()
    assert measured == ["naive"]
    assert "--peer benthos: there is none; the others are measured" in " ".join(err.split())
    assert json.loads(out.splitlines()[-1])["lost"] == lost
