"""The bridge's settings: one TOML file, overridden by the environment, secrets in files of their own.

This module is the one place that names, bounds and describes a setting; SETTINGS.md is made from it.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from zaehlwerk_bridge.errors import SettingsError

ENVIRONMENT_PREFIX = "ZAEHLWERK_BRIDGE_"
ENVIRONMENT_DELIMITER = "__"

MQTT_PORT = 1883  # IANA: mqtt
MQTT_TLS_PORT = 8883  # IANA: secure-mqtt
STREAMS_PER_CHANNEL_MOST = 100  # the limit of HTTP/2 streams that proxies set, silently


def _host_and_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in host:
        raise ValueError("must be HOST:PORT without http:// or the like, for example chirpstack.example:8080")
    return text


def _redis_server(text: str) -> str:
    return _host_and_port(text) if text else text


def _tenant(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text.lower()):
        raise ValueError("must be a tenant's id as ChirpStack shows it, 8-4-4-4-12 hexadecimal digits")
    return text.lower()


def _dev_eui(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{16}", text.lower()):
        raise ValueError("must be a DevEUI, 16 hexadecimal digits")
    return text.lower()


def _prefix(text: str) -> str:
    if not text or text.strip("/") != text or any(char in "+#$" or not char.isprintable() for char in text):
        raise ValueError("must be an MQTT topic without + # $ and without / at either end")
    return text


POSTGRESQL = ("postgresql://", "postgres://")


def _database(place: object) -> object:
    if not isinstance(place, str):
        return place
    if not place.startswith(POSTGRESQL):
        return Path(place)
    url = urlsplit(place)
    if url.password is not None or "password" in parse_qs(url.query):
        raise ValueError("must not hold the password; store.password_file names the file that does")
    if not url.path.strip("/"):
        raise ValueError("must name the database, for example postgresql://zaehlwerk@db.example/zaehlwerk")
    return place


class Section(BaseModel):
    """A part of the settings; a key that is not known is an error, for it is most likely a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ChirpStackSettings(Section):
    """Where events come from."""

    server: Annotated[str, AfterValidator(_host_and_port)] = Field(
        description="ChirpStack's gRPC address, `host:port`."
    )
    tenants: list[Annotated[str, AfterValidator(_tenant)]] = Field(
        min_length=1,
        description="Ids of the tenants whose devices are counted; only an admin key could list tenants.",
    )
    api_key_file: Path = Field(description="File that holds the API key; a tenant's read-only key is enough.")
    write_key_file: Path | None = Field(
        default=None,
        description="File with a key that may enqueue downlinks; without it `api_key_file` is tried.",
    )
    insecure: bool = Field(
        default=False, description="Speak without TLS. Only where the network itself is trusted."
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of the authority that signed the server's certificate."
    )
    cert_file: Path | None = Field(
        default=None, description="PEM file of the client certificate, where a proxy asks for one."
    )
    key_file: Path | None = Field(default=None, description="PEM file of the client certificate's key.")
    relist_s: float = Field(
        default=300, ge=1, le=86400, description="Seconds between two lists of the tenants' devices."
    )
    streams_per_channel: int = Field(
        default=100, ge=1, le=STREAMS_PER_CHANNEL_MOST, description="Streams that share a connection."
    )
    opens_per_s: float = Field(default=300, gt=0, le=5000, description="Streams opened in a second, at most.")
    request_timeout_s: float = Field(
        default=10, gt=0, le=300, description="Seconds after which a request without answer failed."
    )
    keepalive_s: float = Field(
        default=300, ge=10, le=7200, description="Seconds between HTTP/2 pings on an idle connection."
    )
    backoff_first_s: float = Field(
        default=1, gt=0, le=60, description="First wait before a stream is opened again."
    )
    backoff_most_s: float = Field(default=60, gt=0, le=3600, description="Longest such wait.")
    outage_h: float = Field(
        default=24,
        gt=0,
        le=8760,
        description="Hours without the bridge that ChirpStack's history of each device has to hold; less is warned of.",
    )
    max_item_bytes: int = Field(
        default=65536,
        ge=1024,
        le=4194304,
        description="Largest event that is read; a larger one is rejected.",
    )

    @model_validator(mode="after")
    def _insecure_has_no_authority(self) -> "ChirpStackSettings":
        if self.insecure and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("insecure = true and ca_file, cert_file or key_file contradict each other")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together: set both or none")
        return self


class MqttSettings(Section):
    """Where messages go to."""

    host: str = Field(min_length=1, description="The city's MQTT 5 broker.")
    port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description=f"Its port; 0 is {MQTT_TLS_PORT}, or {MQTT_PORT} if `insecure`.",
    )
    client_id: str = Field(
        default="",
        max_length=128,
        description="Client id, unique at the broker; empty is `zaehlwerk-bridge-` and the bridge's `id`.",
    )
    username: str | None = Field(default=None, description="User name at the broker.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    insecure: bool = Field(
        default=False, description="Speak without TLS. Only where the network itself is trusted."
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of the authority that signed the broker's certificate."
    )
    cert_file: Path | None = Field(default=None, description="PEM file of the client certificate.")
    key_file: Path | None = Field(default=None, description="PEM file of the client certificate's key.")
    keepalive_s: int = Field(default=30, ge=5, le=3600, description="MQTT keep alive, seconds.")
    connect_timeout_s: float = Field(
        default=10, gt=0, le=120, description="Seconds after which connecting, or a broker's silence, failed."
    )
    window: int = Field(
        default=100,
        ge=1,
        le=10000,
        description="Messages in flight, at most; the broker's Receive Maximum lowers it.",
    )
    hold_without_subscriber: bool = Field(
        default=True,
        description="Keep counts and spans as long as the broker says that nobody has subscribed to them.",
    )
    backoff_first_s: float = Field(
        default=1,
        gt=0,
        le=60,
        description="First wait before connecting again, or before a held message is retried.",
    )
    backoff_most_s: float = Field(default=60, gt=0, le=3600, description="Longest such wait.")

    @property
    def effective_port(self) -> int:
        """The port that is used: what is set, else the one that goes with `insecure`."""
        return self.port or (MQTT_PORT if self.insecure else MQTT_TLS_PORT)

    @model_validator(mode="after")
    def _belongs_together(self) -> "MqttSettings":
        if self.insecure and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("insecure = true and ca_file, cert_file or key_file contradict each other")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together: set both or none")
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file is set but username is not")
        return self


class RedisSettings(Section):
    """ChirpStack's Redis, where `source` is `redis`: see REDIS.md, above all for what ChirpStack needs."""

    server: Annotated[str, AfterValidator(_redis_server)] = Field(
        default="", description="Address, `host:port`; required where `source` is `redis`."
    )
    db: int = Field(default=0, ge=0, le=10000, description="Number of ChirpStack's database in it.")
    username: str | None = Field(default=None, description="User name, where Redis has an access list.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    insecure: bool = Field(
        default=False, description="Speak without TLS. Only where the network itself is trusted."
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of the authority that signed the server's certificate."
    )
    cert_file: Path | None = Field(default=None, description="PEM file of the client certificate.")
    key_file: Path | None = Field(default=None, description="PEM file of the client certificate's key.")
    key_prefix: str = Field(
        default="", max_length=128, description="What ChirpStack's `[redis] key_prefix` says."
    )
    group: str = Field(
        default="zaehlwerk",
        min_length=1,
        max_length=128,
        description="Consumer group; each bridge with a database of its own needs one of its own.",
    )
    claim_idle_s: float = Field(
        default=60,
        ge=1,
        le=86400,
        description="Seconds after which entries that a dead reader of the group did not store are taken over.",
    )
    outage_h: float = Field(
        default=24,
        gt=0,
        le=8760,
        description="Hours without the bridge that ChirpStack's stream has to hold; less is warned of.",
    )
    request_timeout_s: float = Field(
        default=10, ge=6, le=300, description="Seconds after which connecting, or Redis' silence, failed."
    )
    backoff_first_s: float = Field(default=1, gt=0, le=60, description="First wait before connecting again.")
    backoff_most_s: float = Field(default=60, gt=0, le=3600, description="Longest such wait.")
    max_entry_bytes: int = Field(
        default=65536,
        ge=1024,
        le=4194304,
        description="Largest event that is read; a larger one is rejected.",
    )

    @model_validator(mode="after")
    def _belongs_together(self) -> "RedisSettings":
        if self.insecure and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("insecure = true and ca_file, cert_file or key_file contradict each other")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together: set both or none")
        if self.username is not None and self.password_file is None:
            raise ValueError("username is set but password_file is not")
        return self


class LedgerSettings(Section):
    """How events become records."""

    batch: int = Field(
        default=2000, ge=1, le=10000, description="Events committed in one transaction, at most."
    )
    queue: int = Field(
        default=8000,
        ge=1,
        le=100000,
        description="Events that wait for the database; beyond that the source waits.",
    )


class StoreSettings(Section):
    """How the database is kept."""

    password_file: Path | None = Field(
        default=None, description="File that holds the password of the PostgreSQL user in `database`."
    )

    own_process: bool = Field(
        default=True,
        description="SQLite only: the store works in a process of its own, nearly twice as fast for some 50 MB; false: on a thread.",
    )

    low_water_mb: int = Field(
        default=200,
        ge=0,
        le=1_000_000,
        description="With less than so many MB (10^6 bytes) free on SQLite's disk the bridge reads no more events; 0: never mind.",
    )
    retention_days: int = Field(
        default=400,
        ge=0,
        le=36_500,
        description="Days for which records and what they follow from are kept, of a station with messages waiting all of them; 0: for ever.",
    )


class HttpSettings(Section):
    """Where `/healthz`, `/readyz` and `/metrics` are served, without TLS: for this machine, or behind a proxy."""

    address: str = Field(default="127.0.0.1", min_length=1, description="Address to listen at.")
    port: int = Field(default=9750, ge=0, le=65535, description="Port to listen at; 0: do not listen.")


class HealingSettings(Section):
    """Asking nodes for what was lost."""

    enabled: bool = Field(default=True, description="Ask nodes to send again what is missing.")
    check_s: float = Field(
        default=300, ge=1, le=86400, description="Seconds between two looks for what is missing."
    )


class CommandsSettings(Section):
    """Commands of the platform to nodes, COMMANDS.md; give the topics rights at the broker before you enable them."""

    enabled: bool = Field(
        default=False,
        description="Take commands on `{prefix}/v1/+/command`; who may publish there decides the broker.",
    )
    client_id: str = Field(
        default="",
        max_length=128,
        description="Client id of the session that takes them, unique at the broker; empty is the bridge's and `-commands`.",
    )
    session_expiry_s: int = Field(
        default=604800,
        ge=60,
        le=31_536_000,
        description="Seconds for which the broker keeps commands while the bridge is away.",
    )
    expire_s: float = Field(
        default=86400,
        ge=60,
        le=2_592_000,
        description="Seconds after which a command that does not say when expires.",
    )
    max_bytes: int = Field(default=16384, ge=256, le=262144, description="Largest command that is read.")
    open_per_station: int = Field(
        default=16, ge=1, le=1000, description="Commands of a station that are not at their end, at most."
    )
    per_hour: int = Field(
        default=60,
        ge=1,
        le=10000,
        description="Commands of a station that are taken within an hour, at most.",
    )


class LogSettings(Section):
    """What is written to stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level written."
    )


class StationSettings(Section):
    """What is known of a device's station; each key that is set replaces the device's tag of the same name."""

    station: str | None = Field(default=None, description="Name of the station.")
    channels: str | None = Field(default=None, description="Names of the channels, separated by commas.")
    classes: str | None = Field(
        default=None, description="Class of all channels, or one for each, separated by commas."
    )
    directions: str | None = Field(
        default=None, description="Direction of each channel, separated by commas."
    )
    position: str | None = Field(default=None, description="`latitude,longitude` in degrees, WGS 84.")
    corridor: str | None = Field(default=None, description="Name of the corridor.")
    works: str | None = Field(default=None, description="Name of the works (construction site).")
    max_rate: str | None = Field(default=None, description="Most pulses an hour on a channel.")

    def tags(self) -> dict[str, str]:
        """Return the tags that are set here."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class Settings(Section):
    """All settings of a bridge."""

    id: str = Field(
        default="bridge",
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
        description="Name of this bridge in its topics: small letters, digits, hyphens.",
    )
    prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        default="zaehlwerk", description="First part of every topic."
    )
    database: Annotated[Path | str, BeforeValidator(_database)] = Field(
        description="SQLite file that holds ledger, records and outbox; or `postgresql://USER@HOST/DATABASE`, where"
        " several bridges share the work: SCALE-OUT.md."
    )
    source: Literal["grpc", "redis"] = Field(
        default="grpc",
        description="Where events come from: a stream for each device from ChirpStack's API, or the one in its Redis.",
    )
    chirpstack: ChirpStackSettings
    redis: RedisSettings = RedisSettings()
    mqtt: MqttSettings
    ledger: LedgerSettings = LedgerSettings()
    store: StoreSettings = StoreSettings()
    healing: HealingSettings = HealingSettings()
    commands: CommandsSettings = CommandsSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    stations: dict[Annotated[str, AfterValidator(_dev_eui)], StationSettings] = Field(
        default={}, description="By DevEUI: replaces what ChirpStack's device tags say."
    )

    @model_validator(mode="after")
    def _source_has_a_server(self) -> "Settings":
        if self.source == "redis" and not self.redis.server:
            raise ValueError("source is redis, but redis.server is not set")
        return self

    @property
    def shared(self) -> bool:
        """Whether the database is PostgreSQL, which other bridges may work on as well."""
        return isinstance(self.database, str)

    @property
    def database_file(self) -> Path | None:
        """The SQLite file; None: the database is PostgreSQL."""
        return self.database if isinstance(self.database, Path) else None

    @property
    def client_id(self) -> str:
        """The MQTT client id that is used."""
        return self.mqtt.client_id or f"zaehlwerk-bridge-{self.id}"


def load(path: Path) -> Settings:
    """Return the settings of the TOML file at `path`, overridden by the environment.

    A variable is named ZAEHLWERK_BRIDGE_ and the path of the setting, `__` between its parts. Relative paths in the
    file are relative to the file's directory. Raises SettingsError with one line for each thing that is wrong.
    """
    table = _read_toml(path)
    _resolve_paths(table, Settings, path.parent)

    class Loaded(Settings, BaseSettings):
        model_config = SettingsConfigDict(
            env_prefix=ENVIRONMENT_PREFIX,
            env_nested_delimiter=ENVIRONMENT_DELIMITER,
            extra="forbid",
            frozen=True,
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return env_settings, init_settings

    try:
        return Loaded(**table)
    except ValidationError as error:
        raise SettingsError([_line(path, dict(problem)) for problem in error.errors()]) from None
    except ValueError as error:  # pydantic-settings: a variable that should be JSON and is not
        raise SettingsError([f"environment: {error}"]) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror or type(error).__name__}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: is not TOML: {error}"]) from None


def _resolve_paths(table: dict[str, Any], model: type[BaseModel], directory: Path) -> None:
    for name, field in model.model_fields.items():
        value = table.get(name)
        if (
            isinstance(value, dict)
            and isinstance(field.annotation, type)
            and issubclass(field.annotation, BaseModel)
        ):
            _resolve_paths(value, field.annotation, directory)
        elif isinstance(value, str) and (
            field.annotation in (Path, Path | None)
            or (field.annotation == Path | str and not value.startswith(POSTGRESQL))
        ):
            table[name] = str(directory / value)


def _line(path: Path, problem: dict[str, Any]) -> str:
    parts = [str(part) for part in problem["loc"]]
    where = ".".join(parts)
    variable = ENVIRONMENT_PREFIX + ENVIRONMENT_DELIMITER.join(parts).upper()
    known = {name.upper() for name in os.environ}
    source = f"environment {variable}" if variable in known else f"{path}: {where}" if where else str(path)
    kind = problem["type"]
    if kind == "missing":
        return f"{source}: is missing; {_about(parts)}"
    if kind == "extra_forbidden":
        return f"{source}: there is no such setting"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{source}: {message[:1].lower()}{message[1:]}"


def _about(parts: list[str]) -> str:
    model: type[BaseModel] = Settings
    for part in parts[:-1]:
        inner = model.model_fields[part].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        model = inner
    field = model.model_fields[parts[-1]]
    if field.description:
        return field.description
    section = field.annotation
    assert isinstance(section, type)
    return f"a table that says: {(section.__doc__ or '').strip()}"
