-- What is left of what retention drops. Rows are only added, and the first that was said of a thing
-- stays. Times are microseconds since 1970.

-- Incidents with the ids of their alerts, as they were when they were frozen.
CREATE TABLE frozen (
    id        TEXT PRIMARY KEY,
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER NOT NULL,
    body      TEXT NOT NULL
) STRICT;

CREATE INDEX frozen_order ON frozen (starts_at, id, ends_at);

-- The incident of each alert that is named in one.
CREATE TABLE frozen_alert (
    alert    TEXT PRIMARY KEY,
    incident TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- All incidents that began before this are frozen; one row, none before the first.
CREATE TABLE frozen_before (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    at       INTEGER NOT NULL
) STRICT;

-- How many symptoms of one family began on a day, and how many alerts they held.
CREATE TABLE daily (
    day      INTEGER NOT NULL,
    -- The family's key as JSON.
    family   TEXT NOT NULL,
    symptoms INTEGER NOT NULL,
    alerts   INTEGER NOT NULL,
    PRIMARY KEY (day, family)
) STRICT, WITHOUT ROWID;
