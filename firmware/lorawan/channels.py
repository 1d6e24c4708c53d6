"""The channel plan: up to 16 uplink channels with their data rates, a mask, and RX1 frequencies of their own."""

from lorawan.region import sub_band


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
        self.reset()

    def reset(self):
        """The region's default channels only, all enabled."""
        for i in range(self._region.MAX_CHANNELS):
            self.remove(i)
        self.restore_defaults()

    def restore_defaults(self):
        """Define and enable the default channels; the others stay as they are."""
        for i, (frequency, lowest, highest) in enumerate(self._region.DEFAULT_CHANNELS):
            self.define(i, frequency, lowest, highest)

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

    def defined(self):
        """Mask of the channels that exist."""
        mask = 0
        for i, frequency in enumerate(self.frequencies):
            if frequency:
                mask |= 1 << i
        return mask

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

    def apply_cf_list(self, cf_list):
        """CFList type 0: five frequencies in 100 Hz for the channels after the defaults (RP002-1.0.4 2.4.4).

        A list of another type or empty changes nothing; a frequency that may not be used is left out.
        """
        if len(cf_list) != 16 or cf_list[15] != 0:
            return
        first = len(self._region.DEFAULT_CHANNELS)
        top = len(self._region.DATA_RATES) - 1
        for i in range(self._region.CF_LIST_CHANNELS):
            frequency = int.from_bytes(cf_list[3 * i : 3 * i + 3], "little") * 100
            if frequency and sub_band(self._region, frequency) is not None:
                self.define(first + i, frequency, 0, top)
