"""The channel plan: up to 16 uplink channels with their data rates, a mask, and RX1 frequencies of their own."""


class Channels:
    """Parallel lists by channel index; frequency 0 is an undefined channel, downlink 0 means as the uplink.

    mask has a bit for every enabled channel.
    """

    def __init__(self, region):
        self._region = region
        count = region.MAX_CHANNELS
        self.frequencies = [0] * count
        self.downlinks = [0] * count
        self.lowest = bytearray(count)
        self.highest = bytearray(count)
        self.mask = 0
        self.restore_defaults()

    def restore_defaults(self):
        """Define and enable the default channels; the others stay as they are."""
        for i, (frequency, lowest, highest) in enumerate(self._region.DEFAULT_CHANNELS):
            # An RX1 frequency that DlChannelReq gave stays: the network sends there.
            if self.frequencies[i] != frequency:
                self.define(i, frequency, lowest, highest)
            self.mask |= 1 << i

    def define(self, index, frequency, lowest, highest):
        """Set and enable a channel."""
        self.frequencies[index] = frequency
        self.downlinks[index] = 0
        self.lowest[index] = lowest
        self.highest[index] = highest
        self.mask |= 1 << index

    def remove(self, index):
        """Make a channel undefined."""
        self.frequencies[index] = 0
        self.downlinks[index] = 0
        self.mask &= ~(1 << index)

    def usable(self, mask, data_rate):
        """Indices of the channels of `mask` that carry `data_rate`."""
        return [
            i
            for i in range(len(self.frequencies))
            if mask >> i & 1 and self.frequencies[i] and self.lowest[i] <= data_rate <= self.highest[i]
        ]

    def downlink(self, index):
        """RX1 frequency of a channel in Hz."""
        return self.downlinks[index] or self.frequencies[index]
