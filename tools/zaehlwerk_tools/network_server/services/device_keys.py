"""DeviceService: root keys and activation."""

from __future__ import annotations

from chirpstack_api.api import device_pb2
from google.protobuf.empty_pb2 import Empty

from zaehlwerk_tools.network_server.api_keys import Caller
from zaehlwerk_tools.network_server.device import Device, Keys
from zaehlwerk_tools.network_server.errors import internal, invalid, not_found
from zaehlwerk_tools.network_server.identifiers import eui, key
from zaehlwerk_tools.network_server.network import Network

from .times import to_timestamp


class DeviceKeysMethods:
    """The methods around a device's keys and session."""

    _network: Network

    def create_keys(self, request: device_pb2.CreateDeviceKeysRequest, caller: Caller) -> Empty:
        """Give a device its root keys, once."""
        message = self._message(request)
        dev_eui = eui(message.dev_eui)
        registry = self._network.registry
        caller.require(registry.tenant_of(dev_eui), write=True)
        now = self._network.scheduler.now_ns
        keys = Keys(key(message.nwk_key), key(message.app_key), key(message.gen_app_key), now, now)
        device = registry.devices.get(dev_eui)
        if device is None:
            raise internal("FOREIGN KEY constraint failed")
        if device.keys is not None:
            raise internal("UNIQUE constraint failed: device_keys.dev_eui")
        device.keys = keys
        return Empty()

    def get_keys(
        self, request: device_pb2.GetDeviceKeysRequest, caller: Caller
    ) -> device_pb2.GetDeviceKeysResponse:
        """The root keys of a device."""
        dev_eui, keys = self._keys(request.dev_eui, caller, write=False)
        return device_pb2.GetDeviceKeysResponse(
            device_keys=device_pb2.DeviceKeys(
                dev_eui=dev_eui,
                nwk_key=keys.nwk_key.hex(),
                app_key=keys.app_key.hex(),
                gen_app_key=keys.gen_app_key.hex(),
            ),
            created_at=to_timestamp(keys.created_ns),
            updated_at=to_timestamp(keys.updated_ns),
        )

    def update_keys(self, request: device_pb2.UpdateDeviceKeysRequest, caller: Caller) -> Empty:
        """Change the root keys; the used nonces stay used."""
        message = self._message(request)
        _, keys = self._keys(message.dev_eui, caller, write=True)
        keys.nwk_key, keys.app_key, keys.gen_app_key = (
            key(message.nwk_key),
            key(message.app_key),
            key(message.gen_app_key),
        )
        keys.updated_ns = self._network.scheduler.now_ns
        return Empty()

    def delete_keys(self, request: device_pb2.DeleteDeviceKeysRequest, caller: Caller) -> Empty:
        """Take the root keys away, nonces included."""
        dev_eui, _ = self._keys(request.dev_eui, caller, write=True)
        self._network.registry.device(dev_eui).keys = None
        return Empty()

    def flush_dev_nonces(self, request: device_pb2.FlushDevNoncesRequest, caller: Caller) -> Empty:
        """Forget the used DevNonces."""
        _, keys = self._keys(request.dev_eui, caller, write=True)
        keys.dev_nonces.clear()
        return Empty()

    def deactivate(self, request: device_pb2.DeactivateDeviceRequest, caller: Caller) -> Empty:
        """End a device's session and empty its queue."""
        device = self._device(request.dev_eui, caller, write=True)
        device.session = None
        device.flush()
        return Empty()

    def get_activation(
        self, request: device_pb2.GetDeviceActivationRequest, caller: Caller
    ) -> device_pb2.GetDeviceActivationResponse:
        """Session keys and counters of a device; empty if it has no session."""
        device = self._device(request.dev_eui, caller, write=False)
        session = device.session
        if session is None:
            return device_pb2.GetDeviceActivationResponse()
        network_key = session.nwk_s_key.hex()
        return device_pb2.GetDeviceActivationResponse(
            device_activation=device_pb2.DeviceActivation(
                dev_eui=device.dev_eui,
                dev_addr=f"{session.dev_addr:08x}",
                app_s_key=session.app_s_key.hex(),
                nwk_s_enc_key=network_key,
                s_nwk_s_int_key=network_key,
                f_nwk_s_int_key=network_key,
                f_cnt_up=session.f_cnt_up,
                n_f_cnt_down=session.f_cnt_down,
            )
        )

    def _device(self, dev_eui_text: str, caller: Caller, *, write: bool) -> Device:
        dev_eui = eui(dev_eui_text)
        caller.require(self._network.registry.tenant_of(dev_eui), write=write)
        return self._network.registry.device(dev_eui)

    def _keys(self, dev_eui_text: str, caller: Caller, *, write: bool) -> tuple[str, Keys]:
        dev_eui = eui(dev_eui_text)
        caller.require(self._network.registry.tenant_of(dev_eui), write=write)
        device = self._network.registry.devices.get(dev_eui)
        if device is None or device.keys is None:
            raise not_found(dev_eui)
        return dev_eui, device.keys

    @staticmethod
    def _message(
        request: device_pb2.CreateDeviceKeysRequest | device_pb2.UpdateDeviceKeysRequest,
    ) -> device_pb2.DeviceKeys:
        if not request.HasField("device_keys"):
            raise invalid("device_keys is missing")
        return request.device_keys
