"""What can be in a technician's way. Each is one sentence that says what is wrong and what to do, and an exit status."""

from __future__ import annotations

from enum import IntEnum

from zaehlwerk_tools.errors import ZaehlwerkError


class Status(IntEnum):
    """Exit statuses of the technicians' commands; docs/technician.md lists them."""

    DONE = 0
    REFUSED = 2
    NO_BOARD = 3
    UNSUITABLE = 4
    FULL = 5
    CUT_OFF = 6
    NOT_VERIFIED = 7
    ANOTHER_IDENTITY = 8
    SELF_TEST = 9
    NOT_REGISTERED = 10
    NOT_HEARD = 11
    NOT_RUNNING = 12
    UNWELL = 13
    NO_BROKER = 14


class TechnicianError(ZaehlwerkError):
    """Something that is told in one sentence; `status` is how the command ends."""

    status = Status.REFUSED


class BuildError(TechnicianError):
    """A build is missing, incomplete or not what its manifest says."""


class NoBoardError(TechnicianError):
    """The port cannot be opened, or nobody with MicroPython answers there."""

    status = Status.NO_BOARD


class UnsuitableError(TechnicianError):
    """There is a board, and it is the wrong one or its MicroPython is."""

    status = Status.UNSUITABLE


class FullError(TechnicianError):
    """The board's file system has no room for the firmware."""

    status = Status.FULL


class CutOffError(TechnicianError):
    """The board does not answer any more."""

    status = Status.CUT_OFF


class NotVerifiedError(TechnicianError):
    """What the board holds is not what was written."""

    status = Status.NOT_VERIFIED


class AnotherIdentityError(TechnicianError):
    """The board is somebody already: it has another DevEUI, or another key for this one."""

    status = Status.ANOTHER_IDENTITY


class SelfTestError(TechnicianError):
    """The board's self-test found a fault."""

    status = Status.SELF_TEST


class NotRegisteredError(TechnicianError):
    """The network server cannot be reached, refuses, or has this DevEUI for somebody else."""

    status = Status.NOT_REGISTERED


class NotHeardError(TechnicianError):
    """The network server has heard nothing of the node in time."""

    status = Status.NOT_HEARD


class NotRunningError(TechnicianError):
    """There is a board, and no node runs on it that could be watched."""

    status = Status.NOT_RUNNING


class UnwellError(TechnicianError):
    """An examination has findings that somebody has to do something about."""

    status = Status.UNWELL


class NoBrokerError(TechnicianError):
    """The broker cannot be reached, refuses, or nothing of the station comes from it."""

    status = Status.NO_BROKER
