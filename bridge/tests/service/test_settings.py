"""Settings: one file, the environment on top, and one line for each mistake that says what and where."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import MqttSettings, load
from zaehlwerk_bridge.settings_table import settings_markdown

GOOD = """
database = "ledger.sqlite"
[chirpstack]
server = "chirpstack.example:8080"
tenants = ["11111111-2222-3333-4444-555555555555"]
api_key_file = "secrets/api.key"
[mqtt]
host = "broker.example"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "bridge.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(written(tmp_path, text))
    return raised.value.problems


def test_a_minimal_file_is_enough_and_tls_is_the_default(tmp_path: Path) -> None:
    settings = load(written(tmp_path, GOOD))
    assert not settings.chirpstack.insecure
    assert not settings.mqtt.insecure
    assert settings.mqtt.effective_port == 8883
    assert settings.client_id == "zaehlwerk-bridge-bridge"


def test_paths_in_the_file_are_relative_to_it(tmp_path: Path) -> None:
    settings = load(written(tmp_path, GOOD))
    assert settings.chirpstack.api_key_file == tmp_path / "secrets/api.key"
    assert settings.database == tmp_path / "ledger.sqlite"


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAEHLWERK_BRIDGE_MQTT__HOST", "other.example")
    monkeypatch.setenv("ZAEHLWERK_BRIDGE_ID", "b2")
    settings = load(written(tmp_path, GOOD))
    assert (settings.mqtt.host, settings.id) == ("other.example", "b2")


def test_a_wrong_variable_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAEHLWERK_BRIDGE_MQTT__PORT", "many")
    (problem,) = problems(tmp_path, GOOD)
    assert problem.startswith("environment ZAEHLWERK_BRIDGE_MQTT__PORT: ")


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        (("[mqtt]", "[mqtt]\nhots = 1"), "mqtt.hots", "there is no such setting"),
        (('host = "broker.example"', ""), "mqtt.host", "is missing"),
        (('server = "chirpstack.example:8080"', 'server = "http://x:1"'), "chirpstack.server", "HOST:PORT"),
        (("11111111-", "1111-"), "chirpstack.tenants.0", "8-4-4-4-12"),
        (("[mqtt]", "[mqtt]\nwindow = 0"), "mqtt.window", "greater than or equal to 1"),
        (("[mqtt]", "[mqtt]\ninsecure = true\nca_file = 'x'"), "mqtt", "contradict"),
        (("[chirpstack]", "[chirpstack]\ninsecure = true\nca_file = 'x'"), "chirpstack", "contradict"),
        (("[chirpstack]", "[chirpstack]\nkey_file = 'x'"), "chirpstack", "set both or none"),
        (("[mqtt]", "[mqtt]\ncert_file = 'x'"), "mqtt", "go together"),
        (("[mqtt]", "[mqtt]\npassword_file = 'x'"), "mqtt", "username is not"),
        (("database", "prefix = 'a/#'\ndatabase"), "prefix", "without + # $"),
        (("database", "id = 'Bridge 1'\ndatabase"), "id", "pattern"),
        (("[mqtt]", "[stations.xyz]\nstation = 'a'\n[mqtt]"), "stations.xyz", "16 hexadecimal digits"),
    ],
)
def test_a_mistake_is_one_line_that_says_where_and_what(
    tmp_path: Path, change: tuple[str, str], where: str, what: str
) -> None:
    (problem,) = problems(tmp_path, GOOD.replace(*change))
    assert problem.startswith(f"{tmp_path / 'bridge.toml'}: {where}")
    assert what in problem
    assert "\n" not in problem


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "[mqtt]\nport = -1")) == 4  # database, chirpstack, mqtt.host, mqtt.port


def test_a_file_that_is_no_toml_or_not_there_is_said_so(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "id = ")
    assert "is not TOML" in problem
    with pytest.raises(SettingsError, match="No such file"):
        load(tmp_path / "none.toml")


def test_settings_cannot_be_changed_later() -> None:
    settings = MqttSettings(host="a")
    with pytest.raises(ValidationError):
        settings.host = "b"


def test_the_page_of_settings_is_the_one_that_the_code_makes() -> None:
    """Else: python -m zaehlwerk_bridge.settings_table > bridge/SETTINGS.md"""
    page = Path(__file__).parents[2] / "SETTINGS.md"
    assert page.read_text(encoding="utf-8") == settings_markdown()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "No such file"),
        (b"", "one line"),
        (b"a\nb", "one line"),
        (b"\xff\xfe", "one line"),
        (b"x" * 20000, "one line"),
    ],
)
def test_a_secret_file_that_holds_no_secret_is_named_with_its_setting(
    tmp_path: Path, content: bytes | None, what: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=what) as raised:
        SecretFile(path, "chirpstack.api_key_file", Redactor()).read()
    assert str(raised.value).startswith("chirpstack.api_key_file: ")


def test_a_secret_file_is_read_again_each_time(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first\n")
    secret = SecretFile(path, "x", Redactor())
    assert secret.read() == "first"
    path.write_text("second\n")
    assert secret.read() == "second"
    assert "first" not in repr(secret)
    assert "second" not in repr(secret)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("", "source is redis, but redis.server is not set"),
        ('[redis]\nserver = "redis://redis.example"\n', "must be HOST:PORT"),
        ('[redis]\nserver = "r:1"\nusername = "b"\n', "username is set but password_file is not"),
        ('[redis]\nserver = "r:1"\ncert_file = "c"\n', "cert_file and key_file go together"),
        ('[redis]\nserver = "r:1"\ninsecure = true\nca_file = "c"\n', "contradict each other"),
    ],
)
def test_what_is_wrong_with_the_source_redis_is_named(tmp_path: Path, table: str, problem: str) -> None:
    (line,) = problems(tmp_path, f'source = "redis"\n{GOOD}{table}')
    assert problem in line
