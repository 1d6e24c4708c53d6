"""Asks the broker for stations' checkpoints: what was published of them, perhaps by another store than this one.

A question is a subscription to the retained message and, behind it on the same topic, a message of our own: a broker
keeps the order of a topic, so when that comes back, the retained one came before, or there is none. Pure.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

MOST = 50
"""Stations asked for at once."""

Groups = Sequence[Collection[str]]
"""Stations that have to be reconciled together."""


class Question:
    """About some stations, and whoever turns out to be in their company. `mark` is in the messages that come back.

    `company_of` reads of a station's retained message which others it names.
    """

    def __init__(
        self, groups: Groups, mark: str, company_of: Callable[[str, bytes], Iterable[str]], deadline_ns: int
    ) -> None:
        self.deadline_ns = deadline_ns
        self.mark = mark.encode()
        self._company_of = company_of
        self._groups = [set(group) for group in groups]
        self.asked: set[str] = set()
        """Stations whose topic was subscribed to."""
        self._retained: dict[str, bytes] = {}
        self._answered: set[str] = set()

    @property
    def stations(self) -> set[str]:
        """Those that wait for an answer, their own or their company's."""
        return set().union(*self._groups)

    def to_ask(self) -> list[str]:
        """Stations that have to be asked for now; they count as asked."""
        new = sorted(self.stations - self.asked)
        self.asked.update(new)
        return new

    def take(self, station: str, payload: bytes, *, retained: bool) -> None:
        """A message came on the topic of a station; an empty retained one says that there is none any more."""
        if retained:
            self._retained.pop(station, None)
            if payload:
                self._retained[station] = payload
        elif payload == self.mark:
            self._answered.add(station)
            if station in self._retained:
                self._join(station, set(self._company_of(station, self._retained[station])))

    def _join(self, station: str, company: set[str]) -> None:
        together = {station} | company
        apart = []
        for group in self._groups:
            if group & together:
                together |= group
            else:
                apart.append(group)
        self._groups = [*apart, together]

    def answers(self, busy: Collection[str] = ()) -> list[Mapping[str, bytes | None]]:
        """For each group whose answers are complete the retained messages of its stations; each group once.

        Groups with one of the `busy` stations wait: of those something is on its way to the broker.
        """
        ready = [group for group in self._groups if group <= self._answered and group.isdisjoint(busy)]
        self._groups = [group for group in self._groups if group not in ready]
        return [{station: self._retained.get(station) for station in sorted(group)} for group in ready]

    @property
    def silent(self) -> bool:
        """Whether an answer is still to come."""
        return not self.stations <= self._answered

    def give_up(self) -> list[tuple[list[str], list[str]]]:
        """Ask no longer for those groups whose answers are not complete; each with those of it that are silent."""
        given_up = [group for group in self._groups if not group <= self._answered]
        self._groups = [group for group in self._groups if group not in given_up]
        return [(sorted(group), sorted(group - self._answered)) for group in given_up]

    @property
    def over(self) -> bool:
        """Whether every group was answered or given up."""
        return not self._groups
