"""Where events come from. A source yields events with a cursor; `interface` says what the bridge asks of one."""
