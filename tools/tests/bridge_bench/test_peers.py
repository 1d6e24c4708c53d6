"""How peers are had and started, and what becomes of a comparison where one cannot be had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zaehlwerk_tools.bridge_bench import command
from zaehlwerk_tools.bridge_bench.peers.benthos import Benthos, fetch_benthos
from zaehlwerk_tools.bridge_bench.peers.known import PEERS
from zaehlwerk_tools.bridge_bench.peers.node_red import NodeRed, fetch_node_red
from zaehlwerk_tools.bridge_bench.peers.peer import PeerMissing, run_fetcher
from zaehlwerk_tools.plan import Broker

BROKER = Broker("127.0.0.1", 2345)


def test_benthos_is_measured_with_its_buffer_on_the_disk_and_without_a_buffer(tmp_path: Path) -> None:
    program = tmp_path / "benthos"
    durable, plain = Benthos(program, sqlite=True), Benthos(program, sqlite=False)
    assert durable.name != plain.name
    with_buffer = durable.settings(tmp_path, 6400, BROKER)
    assert with_buffer.pop("buffer") == {"sqlite": {"path": str(tmp_path / "benthos.sqlite")}}
    assert with_buffer == plain.settings(tmp_path, 6400, BROKER)
    words = plain.words(tmp_path, 6400, BROKER, {})
    assert words[0] == program
    assert json.loads(Path(words[-1]).read_text(encoding="utf-8")) == with_buffer
    assert "127.0.0.1:6400" in json.dumps(with_buffer["input"])
    assert "127.0.0.1:2345" in json.dumps(with_buffer["output"])


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


def test_what_is_there_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / ".runtime" / "peers" / "benthos-4.27.0" / "benthos"
    there.parent.mkdir(parents=True)
    there.touch()
    monkeypatch.setenv("PATH", "")
    assert fetch_benthos(tmp_path) == there


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
