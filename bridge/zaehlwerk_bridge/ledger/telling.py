"""Telling: the difference between what stands and what should stand becomes records with revisions, and messages."""

import json
from collections.abc import Callable, Mapping, Sequence

from zaehlwerk_bridge.ledger.cell_table import Line
from zaehlwerk_bridge.ledger.record import Body, Published, withdrawn
from zaehlwerk_bridge.ledger.record_table import Made, RecordTable, Standing
from zaehlwerk_bridge.messages import Message, Messages

RECORDS_A_MESSAGE = 50
"""Intervals that belong to no healing need not share a message; more of them are split."""


class Telling:
    """Writes to `records` what it tells."""

    def __init__(self, records: RecordTable, messages: Messages) -> None:
        self._records = records
        self._messages = messages

    def tell(
        self,
        line: Line,
        made: Sequence[Made],
        live: Mapping[str, Standing],
        nothing: Callable[[str], Body],
    ) -> list[Message]:
        """Messages that lead from the records `live` to the records `made`, a healing in one message.

        `nothing` makes of a doubtful record's id one that stands for nothing.
        """
        stands = {one.body["id"] for one in made}
        changed = [one for one in made if _differs(one, live.get(one.body["id"]))]
        gone = {record: standing for record, standing in live.items() if record not in stands}
        messages: list[Message] = []
        for slug in sorted({one.station for one in changed} | {one.station for one in gone.values()}):
            told = [self._records.write(line, one) for one in changed if one.station == slug]
            buried = sorted(record for record, standing in gone.items() if standing.station == slug)
            for record in buried:
                self._records.bury(record)
            if not told:
                # Nothing of this station takes their place, and a message needs a record with a revision.
                told = [self._carrier(slug, buried, gone, nothing)]
            messages += self._healed(slug, told, buried)
        return messages

    def _carrier(
        self, slug: str, buried: list[str], gone: Mapping[str, Standing], nothing: Callable[[str], Body]
    ) -> Published:
        """One of the `buried` records that says that it stands for nothing any more; it is not superseded then.

        If they may not stand at all, rather another record of the station, as it is.
        """
        known = next((record for record in buried if not gone[record].doubtful), None)
        if known is None:
            again = self._records.again(slug)
            if again is not None:
                return again
        carrier = known or buried[0]
        buried.remove(carrier)
        empty = withdrawn(json.loads(gone[carrier].text)) if known else nothing(carrier)
        return self._records.withdraw(carrier, slug, empty)

    def _healed(self, slug: str, told: Sequence[Published], buried: Sequence[str]) -> list[Message]:
        healing = bool(buried) or any(record.resolution == "span" for record in told)
        size = len(told) if healing else RECORDS_A_MESSAGE
        return [
            self._messages.records(slug, told[at : at + size], buried) for at in range(0, len(told), size)
        ]


def _differs(one: Made, standing: Standing | None) -> bool:
    return standing is None or standing.text != one.text
