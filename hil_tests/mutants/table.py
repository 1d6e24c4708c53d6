"""The table of mutants: what is put into the place of what in the firmware's sources, and what is broken then.

The texts that are replaced are short and say what they are about, so that they outlive changes around them; one that is not
found exactly once is an error (`application.MutantError`), not a mutant that nobody catches.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """In `file` below firmware/ `old` becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """`expected`: the module of the suite that should catch it, asked first; any other one may."""

    name: str
    breaks: str
    expected: str
    edits: tuple[Edit, ...]


def _mutant(name: str, breaks: str, expected: str, *edits: tuple[str, str, str]) -> Mutant:
    return Mutant(name, breaks, expected, tuple(Edit(*edit) for edit in edits))


MUTANTS = (
    _mutant(
        "debounce-off",
        "every bounce of a contact is a passage",
        "test_pulses",
        ("counting/debounce.py", "if stretch >= self.debounce:", "if True:"),
        ("counting/debounce.py", "self.ended) & TICKS >= self.gap:", "self.ended) & TICKS >= 0:"),
    ),
    _mutant(
        "pulse-lost-per-reading",
        "each reading of a counter forgets one pulse",
        "test_pulses",
        ("counting/pulse.py", "return (count,)", "return (max(count - 1, 0),)"),
    ),
    _mutant(
        "counter-rounds-lost",
        "beyond 256 pulses a reading the rest is forgotten",
        "test_pulses",
        ("counting/pulse.py", "return (count,)", "return (count & 0xFF,)"),
    ),
    _mutant(
        "nonce-not-stored",
        "a DevNonce is used before it is stored as used",
        "test_nonces",
        (
            "lorawan/store.py",
            "= data_rate, attempts, round_s\n        self.save_nonces()",
            "= data_rate, attempts, round_s",
        ),
    ),
    _mutant(
        "counter-reset-at-boot",
        "FCntUp begins at 0 after each start",
        "test_nonces",
        ("lorawan/session_record.py", "= fields[3], fields[4] - 1", "= 0, fields[4] - 1"),
    ),
    _mutant(
        "counters-not-reserved",
        "no uplink counters are reserved ahead of their use",
        "test_nonces",
        ("lorawan/store.py", "reserved += FCNT_BLOCK", "reserved += 0"),
    ),
    _mutant(
        "totals-not-stored",
        "totals are not stored every minute, before they are sent",
        "test_continuity",
        ("app/recorder.py", "state.save_totals(node.files, node.intervals)", "pass"),
    ),
    _mutant(
        "duty-cycle-ignored",
        "a sub-band does not rest after a frame",
        "test_duty_cycle",
        (
            "lorawan/duty_cycle.py",
            "self._free[band] = now + self._rest_ms",
            "self._free[band] = now + 0 * self._rest_ms",
        ),
    ),
    _mutant(
        "join-back-off-ignored",
        "joins are asked for as fast as the duty cycle lets them, for hours",
        "test_joining",
        (
            "lorawan/join_round.py",
            "((_HOUR_S, 105), (11 * _HOUR_S, 1050))",
            "((_HOUR_S, 1), (11 * _HOUR_S, 1))",
        ),
    ),
    _mutant(
        "rx1-late",
        "RX1 opens a second late",
        "test_downlinks",
        ("lorawan/transaction.py", "delay = session.rx_delay\n", "delay = session.rx_delay + 1\n"),
    ),
    _mutant(
        "rx1-at-rx2-rate",
        "RX1 listens at the data rate of RX2",
        "test_downlinks",
        ("lorawan/transaction.py", "max(self._data_rate - session.rx1_offset, 0)", "session.rx2_data_rate"),
    ),
    _mutant(
        "rx2-missing",
        "there is no second window",
        "test_downlinks",
        ("lorawan/transaction.py", "if self._window == 1:", "if False:"),
    ),
    _mutant(
        "rx2-rate-fixed",
        "RX2 stays at DR0 whatever the network asked for",
        "test_downlinks",
        (
            "lorawan/transaction.py",
            "second = session.rx2_frequency, session.rx2_data_rate",
            "second = session.rx2_frequency, region.RX2_DATA_RATE",
        ),
    ),
    _mutant(
        "join-accept-early",
        "the join accept is listened for after 1 s",
        "test_downlinks",
        ("lorawan/transaction.py", "delay = region.JOIN_ACCEPT_DELAY1_S", "delay = 1"),
    ),
    _mutant(
        "backfill-misplaced",
        "rows of backfill are told one interval late: one is lost, one is double",
        "test_outage",
        ("app/report_backfill.py", "Backfill(first & 0xFFFF", "Backfill(first + 1 & 0xFFFF"),
    ),
    _mutant(
        "backfill-doubled",
        "counts of backfill are doubled",
        "test_outage",
        (
            "app/ring.py",
            "(tuple(record.counts), record.covers)",
            "(tuple([2 * n for n in record.counts]), record.covers)",
        ),
    ),
    _mutant(
        "backfill-missing",
        "what is stored is never found again",
        "test_outage",
        ("app/report_backfill.py", "    if stored is None:\n", "    if True:\n"),
    ),
    _mutant(
        "history-of-totals",
        "the history of a count frame holds totals",
        "test_pulses",
        ("app/report_counts.py", "rows.append(tuple(other.counts))", "rows.append(tuple(other.totals))"),
    ),
    _mutant(
        "coverage-always-full",
        "an interval that was observed in part says that it was whole",
        "test_continuity",
        ("app/intervals.py", "return min(FULL - 1, ms * FULL // self._length)", "return FULL"),
    ),
    _mutant(
        "stuck-never-told",
        "a contact that stays closed is no fault",
        "test_sensors",
        ("counting/contact.py", "self.health |= STUCK", "self.health |= 0"),
    ),
    _mutant(
        "silent-never-told",
        "a dead sensor's zeros look like those of an empty street",
        "test_sensors",
        ("app/alarms.py", "elif codes & (SILENT | NO_SIGNAL):", "elif codes & NO_SIGNAL:"),
    ),
    _mutant(
        "alarm-never-over",
        "what is over is not told",
        "test_sensors",
        ("app/alarms.py", "mask if calm >= _CALM else mask | now[kind]", "mask | now[kind]"),
    ),
    _mutant(
        "ring-not-checked",
        "a record that flash has damaged is believed",
        "test_continuity",
        (
            "app/ring.py",
            'if binascii.crc32(body).to_bytes(_CRC_BYTES, "little") != data[-_CRC_BYTES:]:',
            "if False:",
        ),
    ),
    _mutant(
        "index-goes-back",
        "every second interval has the number of the one before",
        "test_continuity",
        (
            "app/intervals.py",
            "Record(False, self.generation, self.slot,",
            "Record(False, self.generation, self.slot & ~1,",
        ),
    ),
    _mutant(
        "time-with-wrong-sign",
        "leap seconds are added to GPS time",
        "test_time",
        ("app/clock.py", "+ _GPS_EPOCH_MS - _LEAP_SECONDS_MS", "+ _GPS_EPOCH_MS + _LEAP_SECONDS_MS"),
    ),
    _mutant(
        "rate-learnt-with-wrong-sign",
        "the crystal's error is doubled instead of taken away",
        "test_time",
        ("app/clock.py", "rate = self._rate + step * _BILLION", "rate = self._rate - step * _BILLION"),
    ),
    _mutant(
        "lost-session-never-rejoined",
        "a node that the network forgot sends for ever under the old session",
        "test_joining",
        ("app/uplinks.py", "if self._unheard >= _LOST_AFTER and not self._rejoin:", "if False:"),
    ),
    _mutant(
        "low-battery-never-told",
        "an empty cell raises no alarm",
        "test_battery",
        ("app/alarms.py", "_NODE if battery and battery < low else 0", "0"),
    ),
    _mutant(
        "watchdog-never-started",
        "a program that stands still stands for ever",
        "test_continuity",
        ("app/recorder.py", "self._dog = self._watchdog(timeout=WATCHDOG_MS)", "pass"),
    ),
    _mutant(
        "watchdog-never-fed",
        "a node that works is reset every three minutes",
        "test_pulses",
        ("app/recorder.py", "self._dog.feed()", "pass"),
    ),
    _mutant(
        "restart-forgets",
        "a restart by command does not store what was counted since the last minute",
        "test_continuity",
        ("app/restart.py", "state.save_totals(node.files, node.intervals)", "pass"),
    ),
)
