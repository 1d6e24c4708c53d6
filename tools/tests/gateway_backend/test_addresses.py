"""Addresses and secrets from the command line: what is meant is understood, and no secret is ever repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from zaehlwerk_tools.gateway_backend.addresses import (
    PASSWORD_VARIABLE,
    AddressError,
    ApiAddress,
    MqttAddress,
    api_address,
    mqtt_address,
    read_secret,
)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://localhost", MqttAddress("localhost", 1883)),
        ("tcp://10.0.0.1:1884/", MqttAddress("10.0.0.1", 1884)),
        ("mqtts://broker.example", MqttAddress("broker.example", 8883, tls=True)),
        ("ssl://broker.example:1", MqttAddress("broker.example", 1, tls=True)),
        ("mqtt://gate@way@[::1]:1883", MqttAddress("::1", 1883, username="gate@way")),
        ("mqtt://gate%40way@host", MqttAddress("host", 1883, username="gate@way")),
    ],
)
def test_a_brokers_url_is_read(url: str, address: MqttAddress) -> None:
    assert mqtt_address(url, environ={}) == address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost", ApiAddress("localhost", 8080)),
        ("http://localhost:8080/", ApiAddress("localhost", 8080)),
        ("https://chirpstack.example", ApiAddress("chirpstack.example", 443, tls=True)),
    ],
)
def test_an_apis_url_is_read(url: str, address: ApiAddress) -> None:
    assert api_address(url) == address


def test_an_address_is_told_as_host_and_port() -> None:
    assert str(MqttAddress("::1", 1883)) == "[::1]:1883"
    assert str(ApiAddress("host", 8080)) == "host:8080"


@pytest.mark.parametrize(
    "url",
    [
        *("localhost", "localhost:1883", "http://localhost", "mqtt://", "mqtt://host:0", "mqtt://host:70000"),
        *("mqtt://host:x", "mqtt://host/path", "mqtt://host?x=1", "mqtt://[::1", ""),
    ],
)
def test_what_is_no_brokers_url_is_refused(url: str) -> None:
    with pytest.raises(AddressError, match=r"--mqtt-url .*expected mqtt://USER@HOST:1883"):
        mqtt_address(url, environ={})


@pytest.mark.parametrize("url", ["localhost:8080", "mqtt://host", "https://host/api", "http://"])
def test_what_is_no_apis_url_is_refused(url: str) -> None:
    with pytest.raises(AddressError, match=r"--api-url .*expected http://HOST:8080"):
        api_address(url)


def test_a_user_in_the_apis_url_is_refused() -> None:
    with pytest.raises(AddressError, match="--api-key-file") as refused:
        api_address("http://user:hidden@host")
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["mqtt://user:hidden@host", "mqtt://:hidden@host", "nonsense//user:hidden@host"]
)
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(AddressError) as refused:
        mqtt_address(url, environ={})
    assert "hidden" not in str(refused.value)


def test_a_password_comes_from_a_file_or_else_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from the file\n", encoding="utf-8")
    environ = {PASSWORD_VARIABLE: "from the environment"}
    assert mqtt_address("mqtt://u@h", environ=environ).password == "from the environment"
    assert mqtt_address("mqtt://u@h", password_file=file, environ=environ).password == "from the file"
    assert mqtt_address("mqtt://h", environ=environ).password is None, "without a user there is none"


def test_a_password_is_in_no_repr() -> None:
    address = mqtt_address("mqtt://u@h", environ={PASSWORD_VARIABLE: "hidden"})
    assert "hidden" not in f"{address!r} {address}"


def test_a_password_without_a_user_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hidden", encoding="utf-8")
    with pytest.raises(AddressError, match="names no user"):
        mqtt_address("mqtt://h", password_file=file)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file"),
        (b" \n", "is empty"),
        (b"hid\nden", "expected one line"),
        (b"hidden\xff", "it is no text"),
    ],
)
def test_a_file_that_holds_no_secret_is_told_by_its_name_only(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(AddressError) as refused:
        read_secret(file, "--api-key-file")
    assert str(refused.value).startswith(f"--api-key-file {file}: ")
    assert reason in str(refused.value)
    assert "hid" not in str(refused.value)


def test_an_authority_that_is_not_there_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    with pytest.raises(AddressError, match="--ca-file"):
        mqtt_address("mqtts://h", ca_file=missing, environ={})
    with pytest.raises(AddressError, match="--ca-file"):
        api_address("https://h", ca_file=missing)
    assert api_address("http://h", ca_file=missing).ca_file is None
