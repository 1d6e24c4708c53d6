-- Version 4. Several bridges may share a store: whose turn it is to publish a message, and which of them are there.

ALTER TABLE outbox ADD COLUMN bridge TEXT NOT NULL DEFAULT '';          -- its id; empty: the only one's

CREATE TABLE bridge (
  id          TEXT PRIMARY KEY,
  word        TEXT NOT NULL,      -- another one with each start
  since_ns    INTEGER NOT NULL,   -- since when it has given signs of life, by the database's clock
  beat_ns     INTEGER NOT NULL    -- the last one
) STRICT;
