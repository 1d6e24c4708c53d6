-- Version 5. Each event is written in fewer places: two indexes go, and what was seen is its own key.

-- Whoever looks for the nearest total of a line reads the cells up to it as well.
DROP INDEX cell_total;

ALTER TABLE seen RENAME TO seen_before;
CREATE TABLE seen (
  dev_eui     TEXT NOT NULL,
  dedup_id    TEXT NOT NULL,
  received_ns INTEGER NOT NULL,
  PRIMARY KEY (dev_eui, dedup_id)
) STRICT, WITHOUT ROWID;
INSERT INTO seen SELECT dev_eui, dedup_id, received_ns FROM seen_before ORDER BY dev_eui, dedup_id;
DROP TABLE seen_before;
