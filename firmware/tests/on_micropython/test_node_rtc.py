"""What a reset leaves in the RTC's memory is believed only if it is whole."""

import fake_machine
from world import install

install()

from node_rig import MIDNIGHT, Site  # noqa: E402

from lorawan.records import seal  # noqa: E402


def test_sealed_memory_of_another_length_is_not_what_this_node_left_there():
    site = Site(unix=MIDNIGHT - 600)
    site.pulses(4, 5, 9000)
    site.run(2000)
    before = site.node.intervals.pulses[0]
    for data in (b"", b"abc", b"\0" * 14, b"\0" * 16, b"\xff" * 60):
        fake_machine.RTC.kept = seal(1, data)
        site.run(site.now() + 100, power_stayed=True)
        assert site.node.intervals.pulses[0] >= before
