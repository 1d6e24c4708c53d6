"""A board whose measurements a technician has compared with a meter. Loaded where the settings say by how much it is off."""


class Calibrated:
    """`board`, a module of boards/, with its battery times `permille` / 1000 and `offset` tenths of a degree warmer."""

    def __init__(self, board, permille, offset):
        self._board = board
        self._permille = permille
        self._offset = offset

    def __getattr__(self, name):
        return getattr(self._board, name)

    def battery_mv(self):
        """Supply in mV, None on mains and where it cannot be told."""
        found = self._board.battery_mv()
        return found and (found * self._permille + 500) // 1000

    def temperature(self):
        """0.1 degrees Celsius, None without a sensor."""
        found = self._board.temperature()
        return None if found is None else found + self._offset
