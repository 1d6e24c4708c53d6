"""A round of joining: when its requests go out, and at which data rates. Loaded while one is under way.

LoRaWAN 1.0.4 chapter 7 (back-off) and section 6.2.5.
"""

from micropython import const

_HOUR_S = const(3600)
# Less than 36 s of airtime in the first hour, 36 s in the next ten, 8.7 s per day after that. Each request rests for
# its own share of the period, so that the budget is spread. A frame that begins just before the end of its period is
# why the shares are below 1 %, 0.1 % and 0.01 %: (seconds since the first request, share of time as 1/n).
_PERIODS = ((_HOUR_S, 105), (11 * _HOUR_S, 1050))
_LATER = const(12000)

# Pause between two requests: at least the receive windows, and a random part, so that nodes drift apart.
_PAUSE_MS = const(8000)
_PAUSE_SPREAD_MS = const(8000)

# After a restart a pause has so many parts, each of which ends it with a chance of one in so many: a third of one.
_PARTS = const(16)
_CHANCES = const(48)


def data_rate(region, attempts):
    """The data rate of the request after `attempts` of this round: the highest first, one lower each, and around."""
    count = len(region.DATA_RATES)
    return count - 1 - attempts % count


def pause_ms(airtime_us, round_s, random):
    """How long a round rests from the start of a request of `airtime_us` on, `round_s` after its first one."""
    share = _LATER
    for end, n in _PERIODS:
        if round_s < end:
            share = n
            break
    return max(airtime_us * share // 1000, _PAUSE_MS) + random(_PAUSE_SPREAD_MS)


def resumed_ms(airtime_us, round_s, random):
    """How long a round rests after a restart, when the time since its last request, of `airtime_us`, is not known.

    No longer than if it had just been sent. But no node may wait for ever whose power never lasts as long: each second
    of power makes a request as likely as the one before, at a third of what the back-off allows.
    """
    pause = pause_ms(airtime_us, round_s, random)
    part = 0
    while part < _PARTS and random(_CHANCES):
        part += 1
    return min(pause, pause * part // _PARTS + random(pause // _PARTS))


def begun(mac, now, spread_ms, random):
    """(uptime in ms of the round's first request, when the next one may go out), also of a round before a restart.

    spread_ms: the first request waits a random part of it.
    """
    attempts, seconds = mac.join_round
    wait = 0
    if attempts:
        wait = resumed_ms(mac.join_airtime_us(mac.join_round_rate), seconds, random)
    elif spread_ms:
        wait = random(spread_ms)
    return now - 1000 * seconds, now + wait


def next_request(mac, now, first, random):
    """What a request that goes out now is made with: (data rate, requests of this round with it, seconds since the
    first), and when the one after it may go out. first: uptime in ms of the round's first one.
    """
    attempts = mac.join_round[0]
    rate, seconds = data_rate(mac.region, attempts), (now - first) // 1000
    return (rate, attempts + 1, seconds), now + pause_ms(mac.join_airtime_us(rate), seconds, random)
