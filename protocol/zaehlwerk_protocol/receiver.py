"""How a receiver reads count frames: pure arithmetic, no state. SPECIFICATION.md, "How a receiver reads", has the rules.

Words: T(i) is the total of a channel at the end of interval i, c(i) the count of interval i, so T(i) - T(i-1) = c(i). All T
of count frames are modulo 2^16; the c of history and backfill are whole.

What a frame says
    A count frame with index i and k rows of history says T(i), and c(i-1) ... c(i-k); not c(i). Hence T(i-1) ... T(i-1-k)
    follow only when c(i) is known, that is when a frame with index i+1..i+k, or a backfill, carries it, or when another
    frame says T(i-1).
Closure
    T(j) and c(j) known: T(j-1) is. T(j-1) and c(j) known: T(j) is. T(j) and T(j-1) known: c(j) is, if no wrap is possible.
    Facts only ever add up; none depends on the order in which frames arrive. Frames arrive late, twice and out of order.
Gaps
    Between two neighbouring known boundaries a < b, U is the set of intervals in (a, b] whose count is not known.
    |U| = 0: the counts must add up to T(b) - T(a); where they do not, the total wins and the record is marked.
    |U| = 1: its count is T(b) - T(a) - the counts known.
    |U| > 1: only the sum over U is known: one span. Nothing may be split by guessing.
Newest interval
    After more than k frames lost in a row the newest count c(i) is one of U, although T(i) is known: it stays pending until
    the history of a later frame names it.
Wraps
    T(b) - T(a) is known modulo 2^16 only. If the receive-time gap times the channel's greatest rate can reach 2^16, nothing
    is guessed: the sum stays provisional until full-width totals anchor both sides.
Epochs
    All of this holds within one epoch and one index space. A frame names its epoch by two bits, the generation; a status
    frame says which epoch a generation is. Totals of different epochs have no difference.
"""

from .counts import Counts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MODULUS = 1 << 16
"""Of indices and totals in count frames."""


def unwrap(index16: int, reference: int) -> int:
    """Return the integer congruent to `index16` modulo 2^16 that is nearest to `reference`.

    It lies in reference-2^15 .. reference+2^15-1. For a synchronised clock the reference is `newest_slot` of the time of
    receipt; for the unsynced space it is the newest index known of it, for a backfill the index that was asked for.
    """
    return reference + ((index16 - reference + (MODULUS >> 1)) % MODULUS) - (MODULUS >> 1)


def newest_slot(unix_s: int, interval_s: int) -> int:
    """Return the number of the newest UTC slot that is closed at `unix_s` (Unix seconds)."""
    return unix_s // interval_s - 1


def slot_start(slot: int, interval_s: int) -> int:
    """Return the Unix seconds at which a UTC slot starts; it ends `interval_s` later."""
    return slot * interval_s


def place(index: int, mapping: tuple[int, int], interval_s: int) -> int:
    """Return the Unix seconds at which interval `index` of the unsynced space started, by a status frame's `mapping`.

    index: unwrapped or not; the mapping's index is taken as the congruent one nearest to it. The intervals of one boot are
    `interval_s` apart by the node's monotonic clock; a mapping places those of the boot it was sent in.
    """
    return mapping[1] + (index - unwrap(mapping[0], index)) * interval_s


def delta(newer: int, older: int) -> int:
    """Return newer - older modulo 2^16, 0..65535: what a channel counted between two boundaries if no wrap was possible."""
    return (newer - older) % MODULUS


def wraps_possible(gap_s: float, max_rate_per_s: float) -> bool:
    """Return whether a total may have moved by 2^16 or more in `gap_s` seconds at `max_rate_per_s` counts a second."""
    return gap_s * max_rate_per_s >= MODULUS


def widened(total16: int, older16: int, older_full: int) -> int:
    """Return a total at full width from its low 16 bits, given an older boundary's at both widths, no wrap being possible."""
    return older_full + delta(total16, older16)


def history_indices(counts: Counts, reference: int) -> tuple[int, list[int]]:
    """Return the unwrapped index of a frame's boundary, and those of its history's rows, newest first."""
    index = unwrap(counts.index, reference)
    return index, [index - 1 - row for row in range(len(counts.history))]


def stepped_back(totals: "Sequence[int]", counts: "Sequence[int]") -> tuple[int, ...]:
    """Return T(j-1) from T(j) and c(j), per channel, modulo 2^16."""
    return tuple((totals[i] - counts[i]) % MODULUS for i in range(len(totals)))


def stepped_on(totals: "Sequence[int]", counts: "Sequence[int]") -> tuple[int, ...]:
    """Return T(j) from T(j-1) and c(j), per channel, modulo 2^16."""
    return tuple((totals[i] + counts[i]) % MODULUS for i in range(len(totals)))
