"""The errors of the bridge by name. Each says what is wrong, where, and what to do; none holds a key."""


class BridgeError(Exception):
    """Something that the bridge cannot get over by trying again."""


class SettingsError(BridgeError):
    """The settings are wrong. `problems` holds one line each: where, what."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class ClientTakenOver(BridgeError):
    """Another MQTT client connected with this bridge's client id; both would push each other out for ever."""


class BridgeStopped(BridgeError):
    """The bridge ended while somebody was waiting for it."""


class NotReady(BridgeError):
    """The bridge did not come up in time; the text says which of its sides is missing and why."""
