"""What became of messages: the publisher counts, the metrics show."""

from collections import Counter
from dataclasses import dataclass, field

from zaehlwerk_bridge.distribution import Distribution

WAIT_BOUNDS_S = (0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 900, 3600, 14400, 86400)


@dataclass(slots=True)
class PublisherCounts:
    """What became of messages since the start."""

    acknowledged: int = 0
    without_subscriber: int = 0
    """PUBACKs that said that nobody has subscribed, each retry counted."""
    refused: int = 0
    """PUBACKs with an error, each retry counted."""
    quarantined: int = 0
    connections: int = 0
    results: Counter[int] = field(default_factory=Counter)
    """PUBACKs of stored messages, and refusals of `last`, by reason code, each retry counted."""
    wait: Distribution = field(default_factory=lambda: Distribution(WAIT_BOUNDS_S))
    """Seconds from a message's making to its acknowledgement."""
