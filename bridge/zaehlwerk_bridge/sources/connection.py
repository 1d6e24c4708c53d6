"""Connections to ChirpStack's gRPC API: address, TLS, API key, limits."""

from pathlib import Path

import grpc
import grpc.aio

from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import ChirpStackSettings

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""What gRPC may receive at all. Larger than any item that is accepted, so that an oversized one can be named and
passed over: at gRPC's own limit the stream would end at the same item on every connect."""

Metadata = tuple[tuple[str, str], ...]
_Certificates = tuple[bytes | None, bytes | None, bytes | None]


class Connection:
    """Makes channels to one server and the metadata that one API key needs."""

    def __init__(self, settings: ChirpStackSettings, key: SecretFile) -> None:
        self.settings = settings
        self._key = key
        self._metadata: Metadata = (("authorization", ""),)
        self._made_with: list[_Certificates] = []

    def metadata(self) -> Metadata:
        """Return the authorization of a call, from the key file as it is now. Raises SettingsError."""
        bearer = f"Bearer {self._key.read()}"
        if self._metadata[0][1] != bearer:
            self._metadata = (("authorization", bearer),)
        return self._metadata  # the same for thousands of streams, not one for each

    def channel(self) -> grpc.aio.Channel:
        """Return a channel that shares its connection with no other. Raises SettingsError about certificates."""
        settings = self.settings
        options = [
            # Channels with equal options would share one connection, and with it a proxy's limit of streams.
            ("grpc.use_local_subchannel_pool", 1),
            # grpc.minimal_stack would save 2 kB a stream and lift this limit: not for what comes from a network.
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", round(settings.keepalive_s * 1000)),
            ("grpc.keepalive_timeout_ms", 20_000),
            # Who tries again, and when, is decided by the streams' own back-off.
            ("grpc.enable_retries", 0),
            ("grpc.initial_reconnect_backoff_ms", 500),
            ("grpc.min_reconnect_backoff_ms", 500),
            ("grpc.max_reconnect_backoff_ms", 5_000),
            # ChirpStack stands in the city's own network; a proxy for the web would not pass gRPC on.
            ("grpc.enable_http_proxy", 0),
        ]
        if settings.insecure:
            return grpc.aio.insecure_channel(settings.server, options=options)
        try:
            certificates = self._certificates()
        except SettingsError:
            if not self._made_with:
                raise
            certificates = self._made_with[-1]  # a file is just being replaced
        self._made_with.append(certificates)
        return grpc.aio.secure_channel(
            settings.server, grpc.ssl_channel_credentials(*certificates), options=options
        )

    def rotated(self) -> bool:
        """Whether the certificates' files were replaced after a channel was made; told once.

        A channel keeps for ever what it was made with, so all of them have to be made anew then.
        """
        try:
            certificates = self._certificates()
        except SettingsError:
            return False  # just being replaced: the next time
        rotated = any(made != certificates for made in self._made_with)
        self._made_with.clear()
        self._made_with.append(certificates)
        return rotated

    def _certificates(self) -> _Certificates:
        settings = self.settings
        return (
            _read("ca_file", settings.ca_file),
            _read("key_file", settings.key_file),
            _read("cert_file", settings.cert_file),
        )


def _read(name: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError([f"chirpstack.{name}: cannot read {path}: {error.strerror}"]) from None


def describe(error: grpc.aio.AioRpcError) -> str:
    """Return code and details of a failed call in one line."""
    details = " ".join((error.details() or "").split())[:300]
    return f"{error.code().name} {details}".rstrip()
