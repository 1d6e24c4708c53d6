-- Version 2. What was rejected can be tried again; the outbox knows its age; a restored copy knows what it has to ask.

ALTER TABLE outbox ADD COLUMN made_ns INTEGER NOT NULL DEFAULT 0;      -- 0: by a bridge of version 1
CREATE INDEX outbox_station ON outbox (station);

ALTER TABLE rejected RENAME TO rejected_before;
CREATE TABLE rejected (
  id          INTEGER PRIMARY KEY,
  cause       TEXT NOT NULL,      -- one of a few words
  reason      TEXT NOT NULL,      -- for people
  rejected_ns INTEGER NOT NULL,
  -- an event
  source      TEXT NOT NULL,
  dev_eui     TEXT NOT NULL,
  kind        TEXT NOT NULL,
  received_ns INTEGER NOT NULL,
  f_port      INTEGER NOT NULL,
  payload     BLOB NOT NULL,      -- or the message's
  device      TEXT NOT NULL,      -- its name
  tags        TEXT NOT NULL,      -- JSON object
  -- or a message that the broker cannot take
  station     TEXT NOT NULL,
  topic       TEXT NOT NULL,      -- empty for an event
  properties  TEXT NOT NULL,      -- JSON object
  retain      INTEGER NOT NULL
) STRICT;
INSERT INTO rejected
  SELECT id, CASE topic WHEN '' THEN 'unknown' ELSE 'unpublishable' END, reason, received_ns, 'grpc', dev_eui,
    CASE topic WHEN '' THEN 'up' ELSE '' END, received_ns, f_port, payload, '', '{}', '', topic, '{}', 0
  FROM rejected_before;
DROP TABLE rejected_before;

-- Superseded ones too: they are forgotten with the others.
DROP INDEX record_chain;
CREATE INDEX record_chain ON record (chain, unsynced, number);
CREATE INDEX record_span ON record (station) WHERE live = 1 AND resolution = 'span';

-- 1: what was published of the station before this store came to be is known. A copy has 0 until it has asked the broker.
ALTER TABLE station ADD COLUMN verified INTEGER NOT NULL DEFAULT 0;
UPDATE station SET verified = 1;

-- What the newest checkpoint of a station allows to have been published: revisions, intervals, and these spans.
CREATE TABLE reserve (
  station     TEXT PRIMARY KEY,
  revision    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE reserve_line (
  station     TEXT NOT NULL,
  epoch       INTEGER NOT NULL,
  unsynced    INTEGER NOT NULL,
  first       INTEGER NOT NULL,
  last        INTEGER NOT NULL,
  PRIMARY KEY (station, epoch, unsynced)
) STRICT, WITHOUT ROWID;
CREATE INDEX reserve_line_epoch ON reserve_line (epoch);
CREATE TABLE reserve_span (
  station     TEXT NOT NULL,
  id          TEXT NOT NULL,
  epoch       INTEGER NOT NULL,
  PRIMARY KEY (station, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX reserve_span_epoch ON reserve_span (epoch);

-- Records that may stand at the platform although this store, a copy or a new one, never told them.
CREATE TABLE foreign_record (
  id          TEXT PRIMARY KEY,
  station     TEXT NOT NULL,
  epoch       INTEGER NOT NULL,
  unsynced    INTEGER NOT NULL,
  first       INTEGER,            -- NULL: from the beginning
  number      INTEGER NOT NULL    -- its last interval
) STRICT, WITHOUT ROWID;
CREATE INDEX foreign_line ON foreign_record (epoch, unsynced, number);

-- Up to which total a line is kept no more: records and cells up to it are deleted, and nothing of them is told again.
CREATE TABLE forgotten (
  chain       INTEGER NOT NULL REFERENCES chain (id),
  unsynced    INTEGER NOT NULL,
  number      INTEGER NOT NULL,
  PRIMARY KEY (chain, unsynced)
) STRICT, WITHOUT ROWID;
