-- Version 1. Times: _ns nanoseconds, _s seconds of UTC Unix time. Counts and totals: one number a channel, with commas.

-- Which tags a device's events carried, an event a row: an interval belongs to the station of the first event after it.
CREATE TABLE tags (
  id          INTEGER PRIMARY KEY,
  name        TEXT NOT NULL,      -- of the device
  tags        TEXT NOT NULL,      -- JSON object
  UNIQUE (name, tags)
) STRICT;
CREATE TABLE tagging (
  dev_eui     TEXT NOT NULL,
  at_ns       INTEGER NOT NULL,   -- receive time
  tagged      INTEGER NOT NULL REFERENCES tags (id),
  PRIMARY KEY (dev_eui, at_ns, tagged)
) STRICT, WITHOUT ROWID;

CREATE TABLE station (
  slug        TEXT PRIMARY KEY,
  revision    INTEGER NOT NULL,   -- of the newest record
  name        TEXT NOT NULL,      -- of the device that last served it
  tags        TEXT NOT NULL,      -- JSON object, of that device
  since_ns    INTEGER NOT NULL    -- receive time of the event that they came with
) STRICT;

-- The life of a node's totals.
CREATE TABLE chain (
  id          INTEGER PRIMARY KEY,
  dev_eui     TEXT NOT NULL,
  epoch       INTEGER NOT NULL,
  generation  INTEGER NOT NULL,
  interval_s  INTEGER NOT NULL,
  named_ns    INTEGER NOT NULL,   -- receive time of the first status frame that named it
  channels    INTEGER,            -- how many; NULL before the first frame with counts
  max_rate    INTEGER NOT NULL,   -- pulses per hour and channel, the station's
  UNIQUE (dev_eui, epoch)
) STRICT;

-- Where an interval of the node's own numbering began.
CREATE TABLE mapping (
  chain       INTEGER NOT NULL REFERENCES chain (id),
  first       INTEGER NOT NULL,
  start_s     INTEGER NOT NULL,
  told_ns     INTEGER NOT NULL,   -- first receive time of a status frame that says so
  PRIMARY KEY (chain, first)
) STRICT, WITHOUT ROWID;

-- What is known of an interval: its counts, or the totals at its end, or both.
CREATE TABLE cell (
  chain       INTEGER NOT NULL REFERENCES chain (id),
  unsynced    INTEGER NOT NULL,   -- 1: numbered by the node itself, with totals of their own; 0: a slot of UTC
  number      INTEGER NOT NULL,   -- unwrapped
  counts      TEXT,
  mask        INTEGER,            -- channels not wholly observed; NULL: not known
  worst       INTEGER,
  missing     INTEGER NOT NULL,   -- 1: the node said that it has no record
  total       TEXT,               -- mod 2^16
  seen_ns     INTEGER,            -- first receive time of the total
  heard_ns    INTEGER NOT NULL,   -- first receive time of anything of it
  anchor      TEXT,               -- full totals from a status frame
  whole       TEXT,               -- full totals, as far as anchors reach
  PRIMARY KEY (chain, unsynced, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX cell_total ON cell (chain, unsynced, number) WHERE total IS NOT NULL;
CREATE INDEX cell_whole ON cell (chain, unsynced, number) WHERE whole IS NOT NULL;

CREATE TABLE record (
  id          TEXT PRIMARY KEY,
  station     TEXT NOT NULL,
  chain       INTEGER NOT NULL,
  unsynced    INTEGER NOT NULL,
  number      INTEGER NOT NULL,   -- its last interval
  end_s       INTEGER,            -- NULL: it has no place in time
  resolution  TEXT NOT NULL,
  revision    INTEGER NOT NULL,
  live        INTEGER NOT NULL,   -- 0: superseded
  body        TEXT NOT NULL       -- JSON without the revision
) STRICT;
CREATE INDEX record_chain ON record (chain, unsynced, number) WHERE live = 1;
CREATE INDEX record_station ON record (station, end_s) WHERE live = 1 AND resolution = 'interval';

-- Gaps that history may still resolve, and what to ask nodes for.
CREATE TABLE gap (
  chain       INTEGER NOT NULL REFERENCES chain (id),
  unsynced    INTEGER NOT NULL,
  number      INTEGER NOT NULL,   -- of the cell whose total ends the gap
  due_ns      INTEGER,            -- when it becomes a span; NULL: it is one, or it is held
  first       INTEGER NOT NULL,   -- first interval with unknown counts
  last        INTEGER NOT NULL,
  tries       INTEGER NOT NULL,
  ask_ns      INTEGER,            -- when to ask next; NULL: no more
  PRIMARY KEY (chain, unsynced, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX gap_due ON gap (due_ns) WHERE due_ns IS NOT NULL;
CREATE INDEX gap_ask ON gap (ask_ns) WHERE ask_ns IS NOT NULL;

-- Frames whose epoch no status frame has named yet.
CREATE TABLE waiting (
  dev_eui     TEXT NOT NULL,
  received_ns INTEGER NOT NULL,
  f_port      INTEGER NOT NULL,
  payload     BLOB NOT NULL,
  PRIMARY KEY (dev_eui, received_ns, f_port, payload)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  station     TEXT NOT NULL,      -- empty: the bridge itself
  topic       TEXT NOT NULL,
  payload     BLOB NOT NULL,
  properties  TEXT NOT NULL,      -- JSON object
  retain      INTEGER NOT NULL
) STRICT;

CREATE INDEX outbox_retained ON outbox (topic) WHERE retain = 1;

CREATE TABLE rejected (
  id          INTEGER PRIMARY KEY,
  dev_eui     TEXT NOT NULL,
  received_ns INTEGER NOT NULL,
  f_port      INTEGER NOT NULL,
  payload     BLOB NOT NULL,
  reason      TEXT NOT NULL,
  topic       TEXT NOT NULL       -- of a message that the broker cannot take; empty for a frame
) STRICT;

CREATE TABLE cursor (
  source      TEXT NOT NULL,
  stream      TEXT NOT NULL,
  position    TEXT NOT NULL,
  PRIMARY KEY (source, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE seen (
  dev_eui     TEXT NOT NULL,
  dedup_id    TEXT NOT NULL,
  received_ns INTEGER NOT NULL,
  UNIQUE (dev_eui, dedup_id)
) STRICT;
CREATE INDEX seen_time ON seen (dev_eui, received_ns);
