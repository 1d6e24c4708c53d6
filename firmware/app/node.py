"""The node: its parts, made from settings and a board, and put together."""

import asyncio

import machine
from micropython import const

from app import modules, state, supervisor
from app.alarms import Alarms
from app.clock import Clock
from app.intervals import Intervals
from app.recorder import Recorder
from app.ring import Ring
from app.uplinks import Uplinks
from app.uptime import Uptime
from lorawan import eu868
from lorawan.device import Device
from lorawan.mac import Identity, Mac
from lorawan.records import Files
from lorawan.store import Store

# Between two looks at whether this start lasts, and whether the network is heard.
_PROBATION_S = const(30)
# Records that stay in RAM: more than a count frame can hold of history.
_RECENT = const(16)


class Node:
    """Everything the tasks share.

    board is a module of boards/; random(n) gives 0..n-1, entropy(n) n random bytes. Counting begins in `start`,
    before anything that can take long or fail.
    """

    def __init__(self, settings, trouble, board, random, entropy):
        self.settings = settings
        self.random = random
        from app import restore

        self._entropy = entropy
        self.board = board
        self.trouble = trouble
        self.uptime = Uptime()
        # A flash that cannot be written is no reason not to count.
        self.files = Files("state", False)
        Files.refused = None
        self.reset_cause = machine.reset_cause()
        self.boots, self.short_starts, self.crash, self.safe = restore.count_boot(
            self.files, self.reset_cause == machine.PWRON_RESET
        )
        # Whether this start lasted; whether the network was heard in it.
        self.healthy = self.heard = False
        self.inputs = restore.inputs(settings["channels"], board.PCNT_UNITS, self.safe)
        self.started_at = self.uptime()
        self.quiet = asyncio.Lock()
        self.time_news = asyncio.Event()
        # A record was closed, or there is an alarm: whoever sends looks again.
        self.news = asyncio.Event()
        # (slot, rows) of the last interval's speeds and occupancy, until they are sent.
        self.flow = None
        self.closed_at = 0
        self.blinking = None
        # Uptime at which the button was pressed, 0 for the start. Tasks of what shows something, by module.
        self.pressed_at = 0
        self._showing = {}
        # Whether the last frame that wanted an answer of the network had one, None before; and the last LinkCheckAns:
        # (margin in dB, gateways, uptime).
        self.answered = self.link = None
        # Bytes of a piece of the settings that are being asked for.
        self.piece = None
        self.joined_at = None
        self.jumped = False
        self.crash_unsaved = False
        if self.safe:
            self.note(restore.why_safe(self.crash))
        self.channel_map = settings["channel_map"]
        self.offset_ms = settings["offset_ms"]
        self.ring = Ring(Files("state/ring", False), _RECENT)
        self.epoch = state.Epoch(self.files)
        self.clock = Clock(settings["interval_s"] * 500)
        restore.profile(self)
        self.intervals = restore.intervals(self)
        self.intervals.begin(self.started_at)
        state.save_totals(self.files, self.intervals)
        restore.silences(self)
        modules.unload("app.restore")
        self.alarms = Alarms(self)
        self.device = None

    def make_intervals(self, channels, interval_s):
        """An interval engine of the present epoch."""
        return Intervals(channels, interval_s, self.epoch.generation, self._store_record, self.new_epoch)

    def new_epoch(self, last_slot):
        """Totals start again at 0 under a new random number; the new generation. last_slot: of the old epoch.

        Its record is on flash before the epoch is another one.
        """
        self.ring.flush()
        number = int.from_bytes(self._entropy(4), "little")
        self.epoch.renew(number, self.epoch.layout, last_slot)
        return self.epoch.generation

    def _store_record(self, record):
        self.ring.append(record)
        self.closed_at = self.uptime()
        self.news.set()

    def make_device(self):
        """The LoRaWAN device; its own step, because the node counts even when this fails."""
        settings = self.settings
        join_eui, dev_eui, app_key = (
            bytes.fromhex(settings[name]) for name in ("join_eui", "dev_eui", "app_key")
        )
        # Without its counters stored no frame may go out.
        store = Store(Files("state"), eu868, join_eui + dev_eui)
        mac = Mac(
            eu868,
            store,
            Identity(join_eui, dev_eui, app_key),
            self.random,
            self.uptime(),
            self._battery_level,
            settings["antenna_gain_db"],
            settings["rx_error_ms"],
        )
        self.device = Device(mac, self.board.radio(), self.quiet, self.uptime, self.random)
        # Nobody reads these again; the sensors and the MAC have what they need of them.
        for name in ("channels", "join_eui", "dev_eui", "app_key"):
            del settings[name]

    # --- read by the reports

    @property
    def battery_mv(self):
        """Battery voltage in mV, None on mains."""
        return self.board.battery_mv()

    @property
    def temperature(self):
        """Temperature in 0.1 degrees, None when the board has no sensor."""
        return self.board.temperature()

    @property
    def faulty(self):
        """Whether something needs a technician: sensor, settings or radio."""
        device = self.device
        return (
            self.inputs.faulty
            or self.trouble is not None
            or Files.refused is not None
            or device is None
            or device.radio_error is not None
        )

    def _battery_level(self):
        """DevStatusAns: 0 on external power, else 1..254 (3.0 V to 4.2 V of a lithium cell)."""
        battery = self.battery_mv
        if battery is None:
            return 0
        return 1 + min(253, max(0, (battery - 3000) * 253 // 1200))

    def note(self, text):
        """Remember what went wrong for the next status, and say it on the console."""
        print("zaehlwerk:", text)
        self.crash = text.encode()[:60]
        self.crash_unsaved = True

    def save_crash(self):
        """Store what `note` remembered; called when the flash may be written."""
        if Files.refused is not None:
            self.note("flash: %r" % Files.refused)
            Files.refused = None
        if self.crash_unsaved:
            self.crash_unsaved = False
            state.save_crash(self.files, self.boots, self.short_starts, self.crash or b"")

    def restart(self):
        """Store what was counted until now, and start anew: the program goes no further."""
        from app import restart

        restart.now(self)

    # --- tasks

    async def _probation(self):
        """See `probation.over`: until nothing has to be proved any more."""
        over = False
        while not over:
            await asyncio.sleep(_PROBATION_S)
            async with self.quiet:
                from app import probation

                try:
                    over = probation.over(self)
                finally:
                    modules.unload("app.probation", "app.trial")
        return True

    def show(self, name):
        """Let `show` of a module run, loaded for it, which ends by itself and unloads the module."""
        if name not in self._showing:
            self._showing[name] = asyncio.create_task(self._shown(name))

    async def _shown(self, name):
        try:
            async with self.quiet:
                module = getattr(__import__("app." + name), name)
            await module.show(self)
        except Exception as error:  # noqa: BLE001 - the node counts without lamp and display
            self.note("%s: %r" % (name, error))
        del self._showing[name]

    async def run(self):
        """Count and send until cancelled."""
        if self.trouble:
            self.note("settings: " + self.trouble)
        recorder = Recorder(self, machine.WDT)
        uplinks = Uplinks(self)
        tasks = [
            ("recorder", recorder.run),
            ("uplinks", uplinks.run),
            ("probation", self._probation),
        ]
        if self.inputs.jams is not None:
            tasks.append(("look", recorder.look))
        board = self.board
        if getattr(board, "LED", None) is None:
            modules.unload("app.led")
        else:
            self.show("led")
        if getattr(board, "BUTTON", None) is not None:
            from app import button

            tasks.append(("button", lambda: button.watch(self, uplinks.ask)))
        else:
            modules.unload("app.button")
            if getattr(board, "DISPLAY", None) is not None:
                self.show("display")
        # Not kept: it ends when the watchdog has begun.
        asyncio.create_task(recorder.guard())  # noqa: RUF006 - the loop holds it until then
        try:
            await supervisor.supervise(tasks, self.uptime, self.note)
        finally:
            self.inputs.stop()
            if self.blinking is not None:
                self.blinking.cancel()
            for task in self._showing.values():
                task.cancel()
            if self.device is not None:
                self.device.stop()
