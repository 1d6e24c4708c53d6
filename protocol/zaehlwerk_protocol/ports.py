"""FPorts: a frame is named by the port it travels on (LoRaWAN L2 1.0.4 section 4.3.2: 1 to 223 are the application's).

A port never changes its meaning; a frame that no longer fits gets a new one. 7 to 9 are free for uplinks, 11 to 19 for
downlinks.
"""

COUNTS = 1
STATUS = 2
FLOW = 3
BACKFILL = 4
ALARM = 5
ANSWER = 6
COMMAND = 10
"""The only downlink."""
