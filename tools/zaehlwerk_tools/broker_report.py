"""What a broker says about itself: how many messages it dropped, from Mosquitto's `$SYS` topics."""

from __future__ import annotations

import asyncio

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.plan import Broker

DROPPED = "$SYS/broker/publish/messages/dropped"
UPTIME = "$SYS/broker/uptime"
REPORT_S = 5.0


async def dropped_messages(broker: Broker, timeout_s: float = REPORT_S) -> int | None:
    """How many messages the broker has dropped; None if it does not tell within `timeout_s`.

    Waits for the broker's next report (every sys_interval), so that nothing of the run is missing in it. Raises
    BrokerError if there is no broker.
    """
    loop = asyncio.get_running_loop()
    reported = asyncio.Event()
    values: list[int] = []

    def on_message(client: Client, _data: object, message: MQTTMessage) -> None:
        if message.topic == DROPPED:
            values.append(int(message.payload))
        elif not message.retain:
            # A fresh report has begun; the answer to this comes after all of it.
            client.unsubscribe(UPTIME)

    def on_unsubscribe(*_: object) -> None:
        loop.call_soon_threadsafe(reported.set)

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_connect = lambda connected, *_: connected.subscribe(
        [(DROPPED, SubscribeOptions()), (UPTIME, SubscribeOptions())]
    )
    client.on_message = on_message
    client.on_unsubscribe = on_unsubscribe
    try:
        await asyncio.to_thread(client.connect, broker.host, broker.port)
    except OSError as error:
        raise BrokerError(f"no broker at {broker.host}:{broker.port}: {error.strerror or error}") from error
    client.loop_start()
    try:
        async with asyncio.timeout(timeout_s):
            await reported.wait()
    except TimeoutError:
        return None
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
    return values[-1] if values else None
