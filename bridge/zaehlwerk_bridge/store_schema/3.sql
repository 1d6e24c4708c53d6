-- Version 3. Commands to nodes, from the platform and the bridge's own questions, until after their end.

CREATE TABLE command (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT, -- a station's commands go out in this order
  station     TEXT NOT NULL,
  id          TEXT NOT NULL,      -- the asker's
  own         INTEGER NOT NULL,   -- 1: the bridge asks for itself
  dev_eui     TEXT NOT NULL,      -- empty: the bridge itself does it
  kind        TEXT NOT NULL,
  request     TEXT NOT NULL,      -- JSON object: what the kind takes, but for settings; of a question what it is about
  confirmed   INTEGER NOT NULL,   -- 1: its frames are confirmed downlinks
  complete    INTEGER NOT NULL,   -- 0: answers will tell further frames
  one_answer  INTEGER NOT NULL,   -- 1: a good answer to one frame is the answer to all
  patience_ns INTEGER,            -- so long after its sending an answer is waited for; NULL: until it expires
  taken_ns    INTEGER NOT NULL,
  expires_ns  INTEGER NOT NULL,
  fate        TEXT NOT NULL,
  fate_ns     INTEGER NOT NULL,
  reason      TEXT NOT NULL,
  answer      TEXT,               -- JSON object, as it was told
  open        INTEGER NOT NULL,   -- 0: at its end
  UNIQUE (station, id)
) STRICT;
CREATE INDEX command_open ON command (dev_eui, seq) WHERE open = 1;
CREATE INDEX command_expires ON command (expires_ns) WHERE open = 1;
CREATE INDEX command_ended ON command (own, fate_ns) WHERE open = 0;
CREATE INDEX command_taken ON command (station, taken_ns);

-- The frames of a command, at least one unless the bridge itself does it.
CREATE TABLE downlink (
  command     INTEGER NOT NULL REFERENCES command (seq) ON DELETE CASCADE,
  part        INTEGER NOT NULL,
  dev_eui     TEXT NOT NULL,
  token       INTEGER NOT NULL,
  payload     BLOB NOT NULL,
  stage       TEXT NOT NULL,
  item        TEXT NOT NULL,      -- of the server's queue; empty: not known
  tries       INTEGER NOT NULL,   -- Enqueues that were begun
  sendings    INTEGER NOT NULL,   -- as far as they were not acknowledged
  since_ns    INTEGER NOT NULL,   -- when its stage began
  others      TEXT NOT NULL,      -- JSON array: items that stood in the queue before and are not ours
  result      INTEGER,            -- of the node's answer
  data        BLOB,               -- the answer's frame
  PRIMARY KEY (command, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX downlink_token ON downlink (dev_eui, token);
CREATE INDEX downlink_item ON downlink (item) WHERE item <> '';

-- What the server said of items that are not known (yet): the answer to their Enqueue may still come, or never.
CREATE TABLE downlink_report (
  dev_eui     TEXT NOT NULL,
  item        TEXT NOT NULL,
  report      TEXT NOT NULL,
  at_ns       INTEGER NOT NULL,
  PRIMARY KEY (dev_eui, item, report)
) STRICT, WITHOUT ROWID;
CREATE INDEX downlink_report_time ON downlink_report (at_ns);

-- Nodes whose status frame would end an ambiguity, and how often they were asked.
CREATE TABLE ambiguity (
  dev_eui     TEXT PRIMARY KEY,
  tries       INTEGER NOT NULL,
  ask_ns      INTEGER             -- when to ask next; NULL: no more
) STRICT, WITHOUT ROWID;

-- Words that the file beside the database may hold; in a copy that was put back it holds a later one.
CREATE TABLE life (word TEXT NOT NULL) STRICT;
