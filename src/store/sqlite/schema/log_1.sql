-- The log of events. Rows are only ever added.

CREATE TABLE event (
    -- The order of commits. Given out by `head`, so that a number is not used twice even when the
    -- newest row is dropped some day.
    seq  INTEGER PRIMARY KEY,
    -- When it happened: microseconds since 1970.
    at   INTEGER NOT NULL,
    -- The content id: sixteen bytes.
    id   BLOB NOT NULL,
    -- It came more than the horizon behind the newest event.
    late INTEGER NOT NULL,
    -- The event as canonical JSON.
    body TEXT NOT NULL
) STRICT;

-- Unique by event time first: rows come roughly in this order, so that inserts touch few pages. An
-- index that starts with the hash would touch a random page for each row. There is no other index.
CREATE UNIQUE INDEX event_order ON event (at, id);

-- The log's end and how many events it holds; one row.
CREATE TABLE head (
    seq  INTEGER NOT NULL,
    rows INTEGER NOT NULL
) STRICT;

INSERT INTO head (seq, rows) VALUES (0, 0);
