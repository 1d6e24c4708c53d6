"""From ChirpStack to MQTT: sources, decode, ledger, outbox, publisher."""

import os

# gRPC's core writes lines of its own to stderr, where the bridge's log is JSON. It reads this when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
