"""A day of a whole node (`managed_rig`) whose power goes again and again; `make power-cuts` does the same 1,000 times."""

from world import install

install()

# First the rig: the imports of a whole node go as deep as MicroPython lets them.
from managed_rig import Managed  # noqa: E402
from power_cuts_day import AT_BORDERS, EVERY, Day  # noqa: E402
from test_node_power import LOSS_S  # noqa: E402

# So many that some starts in a row do not last; a cut of the power leads to no safe mode.
CUTS = 90
# Seconds: `keep_moment` every ten, and a transmission in the way.
RESET_S = 20


def test_each_of_a_days_cuts_takes_a_minute_at_most_and_is_told_and_the_flash_gives_all_else_back():
    day = Day(101, CUTS)
    assert type(day.site) is Managed
    day.run()
    assert len(day.lost) == CUTS
    assert min(day.lost) >= -AT_BORDERS * min(EVERY.values()), day.lost
    # More than a reset takes that the power survives: what the RTC's memory held is gone.
    assert RESET_S < max(day.lost) <= LOSS_S, day.lost
    assert (day.unflagged, day.misplaced, day.unread) == (0, 0, 0)
