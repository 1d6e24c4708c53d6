"""The image, the Compose file and what they mount: every file and every name is there, and the broker does what its list says.

No container runs here. What can be started without one is: the set-up script, and the broker with its configuration.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from bridge.tests.service import mosquitto
from zaehlwerk_bridge.check_broker import check_broker
from zaehlwerk_bridge.check_finding import Verdict
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.settings import ENVIRONMENT_DELIMITER, ENVIRONMENT_PREFIX, Settings, load

ROOT = Path(__file__).parents[3]
OPERATIONS = ROOT / "bridge" / "operations"
COMPOSE = OPERATIONS / "compose"
DOCKER = OPERATIONS / "docker"
PLAN: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = PLAN["services"]
HOST = "counting.city.example"

# What the Compose specification knows of what is used here (compose-spec.io, 05-services and following).
OF_A_FILE = {"name", "services", "networks", "volumes", "secrets"}
OF_A_SERVICE = {
    "image",
    "build",
    "restart",
    "command",
    "environment",
    "env_file",
    "secrets",
    "volumes",
    "networks",
    "ports",
    "healthcheck",
    "depends_on",
    "init",
    "stop_grace_period",
    "read_only",
    "cap_drop",
    "security_opt",
    "tmpfs",
}
OF_A_HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period"}
CONDITIONS = {"service_started", "service_healthy"}


# The Compose file.


def test_every_key_is_one_of_the_specification() -> None:
    assert set(PLAN) <= OF_A_FILE
    for name, service in SERVICES.items():
        assert set(service) <= OF_A_SERVICE, name
        assert set(service.get("healthcheck", {})) <= OF_A_HEALTHCHECK
        assert set(service.get("build", {})) <= {"context", "dockerfile"}
        assert service["restart"] == "unless-stopped"


def test_every_name_that_is_referred_to_is_there() -> None:
    for service in SERVICES.values():
        needed = service.get("depends_on", [])
        assert set(needed) <= SERVICES.keys()
        for dependency, how in needed.items() if isinstance(needed, dict) else ():
            assert how["condition"] in CONDITIONS
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[dependency]
        assert set(service["networks"]) <= PLAN["networks"].keys()
        assert set(service.get("secrets", [])) <= PLAN["secrets"].keys()
    hosts = set(re.findall(r"(?:redis|ssl)://([a-z-]+)", all_texts()))
    assert hosts <= SERVICES.keys()


def all_texts() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in COMPOSE.rglob("*.toml"))


def test_images_are_named_shortly_and_with_a_version_unless_they_are_built_here() -> None:
    for service in SERVICES.values():
        image = service["image"]
        assert re.fullmatch(r"[a-z-]+(/[a-z-]+)?(:[0-9a-z.-]+)?", image)
        assert ("build" in service) != (":" in image)


def test_only_what_is_meant_for_outside_is_reached_from_there() -> None:
    ports = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert {name for name, some in ports.items() if some} == {
        "mosquitto",
        "gateway-bridge",
        "proxy",
        "bridge",
    }
    assert ports["bridge"] == ["127.0.0.1:9750:9750"]
    assert PLAN["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "redis", "chirpstack"):
        assert SERVICES[name]["networks"] == ["inside"]


def mounts(service: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for volume in service.get("volumes", []):
        source, target, *mode = volume.split(":")
        yield source, target, "".join(mode)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory operations/ as it is after the set-up script."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    operations = tmp_path_factory.mktemp("city") / "operations"
    shutil.copytree(OPERATIONS, operations)
    script = operations / "compose" / "set-up.sh"
    done = subprocess.run([script, HOST], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return operations / "compose"


def test_every_file_that_is_mounted_is_there_and_only_data_can_be_written(made: Path) -> None:
    for name, service in SERVICES.items():
        for source, target, mode in mounts(service):
            assert target.startswith("/"), name
            if source.startswith("."):
                assert (made / source).exists(), f"{name}: {source}"
                assert mode == "ro", f"{name}: {source}"
            else:
                assert source in PLAN["volumes"], f"{name}: {source}"
        for path in service.get("env_file", []):
            assert (made / path).exists(), f"{name}: {path}"
    for secret in PLAN["secrets"].values():
        assert (made / secret["file"]).exists()


def test_what_is_secret_is_nobody_elses_and_what_is_there_stays(made: Path) -> None:
    files = [*(made / "secrets").rglob("*"), *(made / "certificates").rglob("*.key")]
    before = {path: path.read_bytes() for path in files if path.is_file()}
    assert len(before) >= 12
    for path in files:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    words = [text for path, text in before.items() if path.name.endswith(".password")]
    assert len(set(words)) == len(words)
    again = subprocess.run(
        [made / "set-up.sh", "another.example"], check=False, capture_output=True, timeout=60
    )
    assert again.returncode == 0
    assert {path: path.read_bytes() for path in before} == before
    if os.geteuid() == 0:
        assert (made / "secrets/mosquitto/passwords").stat().st_uid == 1883
        assert (made / "secrets/bridge/mqtt.password").stat().st_uid == _uid_of_the_image()


def test_git_does_not_see_what_the_script_makes() -> None:
    ignored = (COMPOSE / ".gitignore").read_text().splitlines()
    assert {"/secrets/", "/certificates/"} <= set(ignored)


def test_every_variable_that_a_configuration_names_is_made(made: Path) -> None:
    """ChirpStack replaces names in its files without looking where they end: none may begin another one."""
    variables = dict(
        line.split("=", 1) for line in (made / "secrets/chirpstack.env").read_text().splitlines()
    )
    named = set(
        re.findall(r"\$([A-Z_]+)", "".join(p.read_text() for p in (COMPOSE / "chirpstack").iterdir()))
    )
    assert named == set(variables)
    assert not [one for one in variables for other in variables if one != other and other.startswith(one)]
    password = (made / "secrets/postgres.password").read_text().strip()
    assert f":{password}@postgres/" in variables["CHIRPSTACK_DSN"]


def test_chirpstack_keeps_enough_history_and_talks_to_the_broker_by_tls() -> None:
    parts = [tomllib.loads(path.read_text()) for path in sorted((COMPOSE / "chirpstack").glob("*.toml"))]
    whole = {key: value for part in parts for key, value in part.items()}
    assert whole["monitoring"]["per_device_event_log_max_history"] >= 200
    assert whole["monitoring"]["device_event_log_max_history"] >= 100_000
    (region,) = whole["regions"]
    assert whole["network"]["enabled_regions"] == [region["id"]]
    assert region["gateway"]["backend"]["mqtt"]["server"] == "ssl://mosquitto:8883"
    frequencies = [channel["frequency"] for channel in region["network"]["extra_channels"]]
    assert frequencies == [
        867_100_000 + 200_000 * n for n in range(5)
    ]  # RP002-1.0.4, 2.3: as the nodes have them


# The image.

STEPS = [
    line
    for line in re.sub(r"\\\n", " ", (DOCKER / "Dockerfile").read_text(encoding="utf-8")).splitlines()
    if line and not line.startswith("#")
]


def steps(name: str) -> list[str]:
    return [line.partition(" ")[2].strip() for line in STEPS if line.partition(" ")[0] == name]


def _uid_of_the_image() -> int:
    (user,) = steps("USER")
    return int(user.partition(":")[0])


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out of the image: the last line that fits decides."""
    out = False
    for line in (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!").removeprefix("**/")
            parts = path.split("/")
            ways = {"/".join(parts[:n]) for n in range(1, len(parts) + 1)} | (
                set(parts) if "**" in line else set()
            )
            if any(fnmatch.fnmatch(way, pattern) for way in ways):
                out = not line.startswith("!")
    return out


def test_the_image_has_the_program_and_nothing_that_is_private() -> None:
    for path in ("bridge/zaehlwerk_bridge/cli.py", "bridge/pyproject.toml", "requirements.lock"):
        assert not ignored(path)
        assert (ROOT / path).exists()
    assert not ignored("protocol/zaehlwerk_protocol/counts.py")
    for path in (
        "bridge/operations/compose/secrets/chirpstack.env",
        "bridge/tests/service/rig.py",
        "bridge/zaehlwerk_bridge/__pycache__/cli.cpython-313.pyc",
        ".git/config",
        "bridge.sqlite",
        ".venv/bin/python",
    ):
        assert ignored(path), path
    for copied in steps("COPY"):
        if not copied.startswith("--from="):
            assert (ROOT / copied.split()[0]).exists()


def test_the_image_runs_the_command_as_nobody_in_particular() -> None:
    assert steps("ENTRYPOINT") == ['["/opt/zaehlwerk/.venv/bin/zaehlwerk-bridge"]']
    assert steps("CMD")[-1] == '["run", "--config", "/etc/zaehlwerk/bridge.toml"]'
    assert steps("STOPSIGNAL") == ["SIGTERM"]
    assert _uid_of_the_image() > 0
    (install,) = [step for step in steps("RUN") if "uv pip install" in step]
    assert "--constraints requirements.lock" in install
    (health,) = steps("HEALTHCHECK")
    assert "/healthz" in health
    port = Settings.model_fields["http"].default.port
    assert f":{port}/healthz" in health
    assert steps("EXPOSE") == [str(port)]


def test_every_variable_of_the_bridge_is_a_setting() -> None:
    environments = [line.partition("=")[0] for line in steps("ENV") if not line.startswith("PATH=")]
    for service in SERVICES.values():
        environments += [
            name for name in service.get("environment", {}) if name.startswith(ENVIRONMENT_PREFIX)
        ]
    assert environments == [f"{ENVIRONMENT_PREFIX}HTTP{ENVIRONMENT_DELIMITER}ADDRESS"]
    assert "address" in type(Settings.model_fields["http"].default).model_fields


@pytest.mark.parametrize("example", ["bridge.toml", "compose/bridge.toml"])
def test_an_example_is_read_and_speaks_tls_to_both_sides(example: str) -> None:
    settings = load(OPERATIONS / example)
    assert not settings.chirpstack.insecure
    assert not settings.mqtt.insecure
    assert settings.mqtt.ca_file is not None
    assert str(settings.database) == "/var/lib/zaehlwerk/bridge.sqlite"


def test_the_bridge_finds_its_files_where_compose_mounts_them(made: Path) -> None:
    settings = load(COMPOSE / "bridge.toml")
    inside = {target: made / source for source, target, _ in mounts(SERVICES["bridge"])}
    assert "/etc/zaehlwerk/bridge.toml" in inside
    files = [
        settings.chirpstack.api_key_file,
        settings.chirpstack.write_key_file,
        settings.chirpstack.ca_file,
    ]
    for path in [*files, settings.mqtt.password_file, settings.mqtt.ca_file]:
        assert path is not None
        within = Path("/etc/zaehlwerk") / path.relative_to(COMPOSE)
        assert (inside[str(within.parent)] / within.name).exists()
    assert settings.chirpstack.server.partition(":")[0] in SERVICES
    assert settings.mqtt.host in SERVICES


# The broker, for real.


class Broker:
    """Mosquitto with the configuration of the Compose file, its paths and its port replaced."""

    def __init__(self, made: Path, directory: Path) -> None:
        self.made = made
        self.port = mosquitto.free_port()
        self.data = directory / "data"
        self.data.mkdir()
        text = (made / "mosquitto/mosquitto.conf").read_text(encoding="utf-8")
        places = {
            "/mosquitto/data/": f"{self.data}/",
            "listener 8883": f"listener {self.port} 127.0.0.1",
            "log_dest stdout": f"log_dest file {directory / 'log'}",
        }
        for source, target, _ in mounts(SERVICES["mosquitto"]):
            places[f"{target}/"] = f"{made / source}/"
        for old, new in places.items():
            text = text.replace(old, new)
        if os.geteuid() == 0:
            text += "user root\n"
        self.log = directory / "log"
        configuration = directory / "mosquitto.conf"
        configuration.write_text(text, encoding="utf-8")
        program = mosquitto.program()
        assert program is not None
        self.process = subprocess.Popen([program, "-c", str(configuration)])
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                continue

    def password(self, user: str) -> str:
        name = "bridge/mqtt.password" if user == "zaehlwerk-bridge" else f"mqtt-{user}.password"
        return (self.made / "secrets" / name).read_text().strip()


@pytest.fixture(scope="module")
def broker(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if mosquitto.program() is None:
        pytest.fail("no Mosquitto: run `make setup`")
    broker = Broker(made, tmp_path_factory.mktemp("broker"))
    yield broker
    broker.process.terminate()
    broker.process.wait(10)


class Client:
    """A client of one user, by TLS under the name that the certificate has."""

    def __init__(self, broker: Broker, user: str | None, password: str | None = None) -> None:
        self.code: int | None = None
        self.got: list[str] = []
        self._answered = threading.Event()
        self._came = threading.Event()
        self._codes: dict[int, int] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        context = ssl.create_default_context(cafile=broker.made / "certificates/public/ca.pem")
        self._client.tls_set_context(_named(context, "mosquitto"))
        if user is not None:
            self._client.username_pw_set(user, password or broker.password(user))
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._came.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self._answered.wait(10)

    def publish(self, topic: str, retain: bool = False) -> int:
        self._came.clear()
        mid = self._client.publish(topic, b"x", qos=1, retain=retain).mid
        while mid not in self._codes:
            assert self._came.wait(10)
        return self._codes[mid]

    def hears(self, topic: str, from_whom: Client) -> bool:
        """Whether a message of `topic` by somebody who may write it comes, before one that surely does."""
        self._came.clear()
        self._client.subscribe("#", qos=1)
        assert self._came.wait(10)
        self.got.clear()
        assert from_whom.publish(topic) in (0, 16)
        return self._until_mark(topic)

    def _until_mark(self, topic: str) -> bool:
        # A round trip on the same connection: the broker has dealt with the message before.
        self._came.clear()
        self._client.subscribe("round/trip", qos=1)
        assert self._came.wait(10)
        return topic in self.got

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, _client: object, _data: object, _flags: object, code: Any, _more: object) -> None:
        self.code = code.value
        self._answered.set()

    def _on_publish(self, _client: object, _data: object, mid: int, code: Any, _more: object) -> None:
        self._codes[mid] = code.value
        self._came.set()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.got.append(message.topic)


def _named(context: ssl.SSLContext, name: str) -> ssl.SSLContext:
    """As if the address were found under `name`: there is no such host here."""

    class Named(ssl.SSLContext):
        def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
            return context.wrap_socket(*args, **{**options, "server_hostname": name})

    named = Named(ssl.PROTOCOL_TLS_CLIENT)
    named.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(context.get_ca_certs(binary_form=True)[0]))
    return named


@pytest.fixture
def client(broker: Broker) -> Iterator[Callable[..., Client]]:
    started: list[Client] = []

    def start(user: str | None, password: str | None = None) -> Client:
        started.append(Client(broker, user, password))
        return started[-1]

    yield start
    for one in started:
        one.close()


NOT_AUTHORIZED = 135
OF_THE_BRIDGE = ("count", "span", "last", "meta", "status", "flow", "alarm", "result", "checkpoint")


def test_nobody_is_let_in_without_the_right_password(client: Callable[..., Client]) -> None:
    assert client(None).code == NOT_AUTHORIZED
    assert client("platform", "guessed").code == NOT_AUTHORIZED
    assert client("platform").code == 0


def test_the_bridge_may_publish_what_it_must_and_nothing_else(client: Callable[..., Client]) -> None:
    bridge = client("zaehlwerk-bridge")
    allowed = [f"zaehlwerk/v1/neutor/{kind}" for kind in OF_THE_BRIDGE]
    allowed += [f"zaehlwerk/v1/bridge/bridge/{kind}" for kind in ("status", "rejected")]
    assert {bridge.publish(topic) for topic in allowed} <= {0, 16}
    for topic in (
        "zaehlwerk/v1/neutor/command",
        "eu868/gateway/0102030405060708/command/down",
        "other/topic",
    ):
        assert bridge.publish(topic) == NOT_AUTHORIZED


def test_a_technician_reads_all_and_may_write_count_tests_only(client: Callable[..., Client]) -> None:
    bridge, technician, platform = client("zaehlwerk-bridge"), client("technician"), client("platform")
    assert technician.hears("zaehlwerk/v1/neutor/count", bridge)
    assert platform.hears("zaehlwerk/v1/neutor/count-test", technician)
    for kind in ("count", "command", "checkpoint"):
        assert technician.publish(f"zaehlwerk/v1/neutor/{kind}") == NOT_AUTHORIZED


def test_the_platform_reads_all_and_may_write_commands_only(client: Callable[..., Client]) -> None:
    bridge, platform = client("zaehlwerk-bridge"), client("platform")
    for kind in OF_THE_BRIDGE:
        assert platform.hears(f"zaehlwerk/v1/neutor/{kind}", bridge)
        assert platform.publish(f"zaehlwerk/v1/neutor/{kind}") == NOT_AUTHORIZED
    assert platform.hears("zaehlwerk/v1/bridge/bridge/status", bridge)
    assert platform.publish("zaehlwerk/v1/bridge/bridge/status") == NOT_AUTHORIZED
    assert bridge.hears("zaehlwerk/v1/neutor/command", platform)
    assert bridge.hears("zaehlwerk/v1/neutor/checkpoint", bridge)
    assert not bridge.hears("zaehlwerk/v1/neutor/count", bridge)


def test_gateways_and_the_network_server_meet_each_other_and_nobody_else(
    client: Callable[..., Client],
) -> None:
    gateway, server, platform = client("gateway"), client("chirpstack"), client("platform")
    assert server.hears("eu868/gateway/0102030405060708/event/up", gateway)
    assert gateway.hears("eu868/gateway/0102030405060708/command/down", server)
    assert not platform.hears("eu868/gateway/0102030405060708/event/up", gateway)
    for one in (gateway, server):
        assert one.publish("zaehlwerk/v1/neutor/count") == NOT_AUTHORIZED
    assert gateway.publish("eu868/gateway/0102030405060708/command/down") == NOT_AUTHORIZED


async def test_check_config_finds_nothing_wrong_with_it(
    broker: Broker, client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    platform = client("platform")
    assert platform.hears("zaehlwerk/v1/neutor/count", client("zaehlwerk-bridge"))
    settings = load(COMPOSE / "bridge.toml")
    mqtt = settings.mqtt.model_copy(
        update={
            "host": "127.0.0.1",
            "port": broker.port,
            "ca_file": broker.made / "certificates/public/ca.pem",
            "password_file": broker.made / "secrets/bridge/mqtt.password",
        }
    )
    settings = settings.model_copy(update={"mqtt": mqtt, "database": tmp_path / "none.sqlite"})
    tls = ssl.create_default_context
    monkeypatch.setattr(
        "zaehlwerk_bridge.mqtt_session.ssl.create_default_context",
        lambda **options: _named(tls(**options), "mosquitto"),
    )
    findings = await check_broker(settings, Redactor())
    assert [finding.line() for finding in findings if finding.verdict is Verdict.WRONG] == []
    notes = [finding.tried for finding in findings if finding.verdict is Verdict.NOTE]
    assert notes == ["persistence"]
    assert any("window of 100" in finding.text for finding in findings)


def test_what_was_acknowledged_is_on_the_disk_within_a_minute(made: Path) -> None:
    text = (made / "mosquitto/mosquitto.conf").read_text()
    assert re.search(r"^persistence true$", text, re.MULTILINE)
    (interval,) = re.findall(r"^autosave_interval (\d+)$", text, re.MULTILINE)
    assert int(interval) <= 60
    (queued,) = re.findall(r"^max_queued_messages (\d+)$", text, re.MULTILINE)
    assert int(queued) > 1000
