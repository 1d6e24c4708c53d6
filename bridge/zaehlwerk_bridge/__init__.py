"""From ChirpStack to MQTT: sources, decode, ledger, outbox, publisher."""
