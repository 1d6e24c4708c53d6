"""InternalService: the event stream, and two methods that no API key may call."""

from __future__ import annotations

from chirpstack_api.api import internal_pb2
from google.protobuf.empty_pb2 import Empty

from zaehlwerk_tools.network_server.api_keys import Caller
from zaehlwerk_tools.network_server.errors import unauthenticated
from zaehlwerk_tools.network_server.identifiers import eui
from zaehlwerk_tools.network_server.network import Network
from zaehlwerk_tools.network_server.streams import Stream


class InternalService:
    """What the real one calls endpoints for internal usage."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def open_stream(self, request: internal_pb2.StreamDeviceEventsRequest, caller: Caller) -> Stream:
        """Open a device's event stream. The DevEUI is checked, but the history is looked up as it was written."""
        caller.require(self._network.registry.tenant_of(eui(request.dev_eui)), write=False)
        return self._network.streams.open(request.dev_eui, caller.key_id)

    def get_version(self, request: Empty, caller: Caller) -> internal_pb2.GetVersionResponse:
        """For logged-in users only: no key is enough."""
        caller.require_key()
        raise unauthenticated()

    def create_api_key(
        self, request: internal_pb2.CreateApiKeyRequest, caller: Caller
    ) -> internal_pb2.CreateApiKeyResponse:
        """For logged-in users only: no key is enough."""
        caller.require_key()
        raise unauthenticated()
