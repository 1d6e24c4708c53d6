"""Two devices on one station are told to the operator; one that takes the place of another is not."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from bridge.tests.ledger.frames import Device, at
from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.postgres_server import PostgresServer
from zaehlwerk_bridge.claims import WINDOW_NS, ClaimWatch, read_contested
from zaehlwerk_bridge.database import Server
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.store import Store

OLD, NEW = "70b3d57ed0000001", "70b3d57ed0000002"


class Life:
    """A store, and the devices that were heard."""

    def __init__(self, place: Path | Server) -> None:
        self.place = place
        self.store = Store(place)
        self.devices = {dev_eui: Device(dev_eui) for dev_eui in (OLD, NEW)}
        self._total = dict.fromkeys(self.devices, 0)

    def take(self, *events: Event) -> None:
        self.store.commit(events, max(event.received_ns for event in events))

    def hear(self, dev_eui: str, number: int, *, station: str = "Neutor") -> None:
        device = self.devices[dev_eui]
        device.tags = {**device.tags, "station": station}
        if not self._total[dev_eui]:
            self.take(device.status(number - 1, 0, epoch=int(dev_eui[-1])))
        self._total[dev_eui] += 3
        self.take(device.count(number, self._total[dev_eui], *[3] * (self._total[dev_eui] > 3)))

    def contested(self, number: int) -> dict[str, tuple[str, ...]]:
        return read_contested(self.place, at(number))


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    life = Life(tmp_path / "store.sqlite")
    with closing(life.store):
        yield life


def test_a_station_is_contested_while_both_devices_are_heard_by_turns(life: Life) -> None:
    for number in range(1, 4):
        life.hear(OLD, number)
    assert life.contested(3) == {}
    life.hear(NEW, 4)
    assert life.contested(4) == {}, "it may have been replaced"
    life.hear(OLD, 5)
    assert life.contested(5) == {"neutor": (OLD, NEW)}


def test_frames_that_take_the_short_way_through_the_ledger_count_as_well(life: Life) -> None:
    for number in range(1, 8):
        for dev_eui in (OLD, NEW):
            life.hear(dev_eui, number)
    assert life.store._fold.steady._runs.keys() == {OLD, NEW}, "else this tries nothing"
    assert life.contested(7) == {"neutor": (OLD, NEW)}


def test_a_node_that_took_the_place_of_another_is_alone(life: Life) -> None:
    for number in range(1, 4):
        life.hear(OLD, number)
    for number in range(4, 9):
        life.hear(NEW, number)
    assert life.contested(8) == {}


def test_a_device_that_was_given_another_station_claims_the_first_one_no_more(life: Life) -> None:
    for number in (1, 2):
        life.hear(OLD, number)
        life.hear(NEW, number)
    assert life.contested(2) == {"neutor": (OLD, NEW)}
    life.hear(OLD, 3, station="Hafenstraße")
    assert life.contested(3) == {}


def test_who_fell_silent_claims_nothing_any_more(life: Life) -> None:
    for number in (1, 2):
        life.hear(OLD, number)
        life.hear(NEW, number)
    later = 2 + WINDOW_NS // (at(1) - at(0))
    assert life.contested(later - 1) == {"neutor": (OLD, NEW)}
    assert life.contested(later + 1) == {}


def test_names_that_make_the_same_topic_are_one_station(life: Life) -> None:
    for number in (1, 2):
        life.hear(OLD, number, station="Bürgerstraße")
        life.hear(NEW, number, station="Buergerstrasse")
    assert life.contested(2) == {"buergerstrasse": (OLD, NEW)}


def test_bridges_that_share_a_database_see_it_too(postgres: PostgresServer) -> None:
    life = Life(postgres.new_store_place())
    with closing(life.store):
        for number in (1, 2):
            life.hear(OLD, number)
            life.hear(NEW, number)
        assert life.contested(2) == {"neutor": (OLD, NEW)}


def test_the_operator_is_told_once_and_when_it_is_over() -> None:
    watch = ClaimWatch(Path("unused"), ManualClock(0), ManualClock(0), structlog.get_logger())
    with capture_logs() as told:
        watch.note({})
        for _ in range(3):
            watch.note({"neutor": (OLD, NEW)})
        watch.note({})
        watch.note({})
    assert [(entry["log_level"], entry["station"]) for entry in told] == [
        ("warning", "neutor"),
        ("info", "neutor"),
    ]
    assert told[0]["devices"] == [OLD, NEW]
