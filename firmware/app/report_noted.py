"""What a status says of the sensors' notes, and what becomes of them when it has arrived. Loaded for this, see `modules.made`."""

from micropython import const

# As in `counting.inputs`.
_READING = const(8192)
_NEWS = const(8191 - 256 - 512 - 32)


def notes(node, uptime):
    """(minutes, [(codes, percent)]) as a status has them, None in the first minute when there is nothing to tell."""
    inputs, channels = node.inputs, []
    minutes = (uptime - (inputs.noted_at or node.started_at)) // 60000
    for noted in inputs.noted:
        # There may be more readings than minutes: where an interval ends, there is one too.
        percent = -(-100 * (noted // _READING) // max(minutes, 1))
        channels.append((noted % _READING, min(100, percent)))
    while channels and not channels[-1][0]:
        channels.pop()
    return (min(minutes, 0xFFFF), channels) if channels or minutes else None


def noted(node, at, told):
    """The network knows what was `noted` at uptime `at`: what is left is what was noted since."""
    inputs = node.inputs
    inputs.noted_at = at
    inputs.news = False
    for i, before in enumerate(told):
        inputs.told[i] = before % _READING
        readings = inputs.noted[i] // _READING - before // _READING
        # Which of the codes came since is not known: rather one too many.
        inputs.noted[i] = inputs.noted[i] % _READING + readings * _READING if readings else 0
        if inputs.noted[i] & ~inputs.told[i] & _NEWS:
            inputs.news = True
