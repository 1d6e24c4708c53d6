"""What the board measures is corrected by what a technician found with a meter: in alarms, status and DevStatusAns."""

from world import install

install()

from node_rig import Site  # noqa: E402

from app.calibrated import Calibrated  # noqa: E402
from zaehlwerk_protocol import alarm, ports  # noqa: E402


def status(**settings):
    site = Site(**settings)
    site.battery = lambda: 3900
    assert site.run(1200)
    return [told.health for told in site.statuses() if told.health][-1]


def test_without_calibration_the_status_tells_what_the_board_tells():
    told = status()
    assert (told.battery_mv, told.temperature) == (3900, 215)


def test_the_battery_is_told_as_the_meter_showed_it():
    assert status(battery_permille=1020).battery_mv == 3978
    assert status(battery_permille=987).battery_mv == 3849


def test_the_temperature_is_moved_by_tenths_of_a_degree():
    assert status(temperature_offset=-45).temperature == 170
    assert status(temperature_offset=300).temperature == 515


def test_a_node_on_mains_stays_one_whose_battery_nobody_asks_for():
    site = Site(battery_permille=1100)
    assert site.run(60)
    assert site.node.battery_mv is None
    assert site.node._battery_level() == 0


def test_a_board_without_a_sensor_tells_no_temperature():
    class Bare:
        LED = 7
        battery_mv = temperature = staticmethod(lambda: None)

    board = Calibrated(Bare, 1100, 10)
    assert board.temperature() is None
    assert board.battery_mv() is None
    # All else is the board's own, and what it has not, this has not.
    assert board.LED == 7
    assert getattr(board, "DISPLAY", None) is None


def test_the_network_is_told_the_calibrated_level():
    site = Site(battery_permille=900)
    site.battery = lambda: 4200
    assert site.run(60)
    # 3780 mV of 3000 to 4200.
    assert site.node._battery_level() == 1 + 780 * 253 // 1200


def test_the_alarm_of_a_low_battery_looks_at_the_calibrated_voltage():
    for permille, raised in ((1000, False), (960, True)):
        site = Site(battery_permille=permille)
        site.battery = lambda: 3400
        assert site.run(1200)
        told = [(frame.kind, frame.raised) for _, frame in site.frames(ports.ALARM)]
        assert told == [(alarm.LOW_BATTERY, True)] * raised
