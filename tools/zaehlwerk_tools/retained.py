"""Takes back what a run left retained on a broker that is not ours."""

from __future__ import annotations

import asyncio
import secrets

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from zaehlwerk_tools.plan import Broker

CLEAR_S = 10.0
QOS = 1


async def clear_retained(broker: Broker, prefix: str) -> int:
    """Deletes all retained messages below `prefix`; how many. Raises OSError or TimeoutError if the broker is gone."""
    loop = asyncio.get_running_loop()
    listed = asyncio.Event()
    topics: set[str] = set()
    marker = f"{prefix}/{secrets.token_hex(8)}"

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        if message.topic == marker:
            loop.call_soon_threadsafe(listed.set)
        elif message.retain and message.payload:
            topics.add(message.topic)

    def on_connect(
        client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _more: Properties | None
    ) -> None:
        if reason.is_failure:
            loop.call_soon_threadsafe(listed.set)  # whom it refuses has left nothing there
            client.disconnect()
        else:
            client.subscribe(f"{prefix}/#", qos=QOS)

    def on_subscribe(client: Client, *_: object) -> None:
        client.publish(marker, b"-", qos=QOS)  # comes back after all that was retained

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    await asyncio.to_thread(client.connect, broker.host, broker.port)
    client.loop_start()
    try:
        async with asyncio.timeout(CLEAR_S):
            await listed.wait()
            for topic in topics:
                sent = client.publish(topic, b"", qos=QOS, retain=True)
                await asyncio.to_thread(sent.wait_for_publish, CLEAR_S)
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
    return len(topics)
