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


class Connection:
    """Makes channels to one server and the metadata that one API key needs."""

    def __init__(self, settings: ChirpStackSettings, key: SecretFile) -> None:
        self.settings = settings
        self._key = key

    def metadata(self) -> Metadata:
        """Return the authorization of a call, from the key file as it is now. Raises SettingsError."""
        return (("authorization", f"Bearer {self._key.read()}"),)

    def channel(self) -> grpc.aio.Channel:
        """Return a channel that shares its connection with no other. Raises SettingsError about certificates."""
        settings = self.settings
        options = [
            # Channels with equal options would share one connection, and with it a proxy's limit of streams.
            ("grpc.use_local_subchannel_pool", 1),
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
        authorities = None if settings.ca_file is None else _read(settings.ca_file)
        credentials = grpc.ssl_channel_credentials(root_certificates=authorities)
        return grpc.aio.secure_channel(settings.server, credentials, options=options)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError([f"chirpstack.ca_file: cannot read {path}: {error.strerror}"]) from None


def describe(error: grpc.aio.AioRpcError) -> str:
    """Return code and details of a failed call in one line."""
    details = " ".join((error.details() or "").split())[:300]
    return f"{error.code().name} {details}".rstrip()
