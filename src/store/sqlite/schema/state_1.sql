-- What the engine made of the log. All of it can be made again.

-- How far the log is assessed, and under which configuration; no row before the first batch.
CREATE TABLE position (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    seq      INTEGER NOT NULL,
    config   TEXT NOT NULL
) STRICT;

-- Things that last. Times are microseconds since 1970; no end: it still goes on. The body is the
-- whole thing as JSON, the other columns are what it is found by.
CREATE TABLE incident (
    id        TEXT PRIMARY KEY,
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER,
    body      TEXT NOT NULL
) STRICT;

CREATE TABLE change (
    id        TEXT PRIMARY KEY,
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER,
    body      TEXT NOT NULL
) STRICT;

CREATE TABLE episode (
    id        TEXT PRIMARY KEY,
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER,
    body      TEXT NOT NULL,
    -- The incident that it belongs to, if any.
    incident  TEXT
) STRICT;

-- The lists' order. With the end in the index, what was over before a page begins is passed by
-- without its row being read.
CREATE INDEX incident_order ON incident (starts_at DESC, id, ends_at);
CREATE INDEX change_order ON change (starts_at DESC, id, ends_at);
CREATE INDEX episode_order ON episode (starts_at DESC, id, ends_at);

CREATE INDEX episode_incident ON episode (incident, starts_at, id) WHERE incident IS NOT NULL;

CREATE TABLE note (
    -- In the order in which notes are told: microseconds since 1970, then the content id.
    at   INTEGER NOT NULL,
    id   BLOB NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (at, id)
) STRICT, WITHOUT ROWID;
