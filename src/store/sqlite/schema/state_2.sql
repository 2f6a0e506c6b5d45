-- The state is kept per firing, family and incident, so that a batch writes what it touches. What an
-- older version made is made again from the log.

DROP TABLE position;
DROP TABLE incident;
DROP TABLE change;
DROP TABLE episode;
DROP TABLE note;

-- How far the log is assessed, and under which configuration; no row before the first batch.
CREATE TABLE position (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    seq      INTEGER NOT NULL,
    config   TEXT NOT NULL,
    -- How label names became scope: under another mapping the families would be others.
    mapping  TEXT NOT NULL,
    -- Alerts that began before this are only known to the filters of `seen`.
    recent   INTEGER NOT NULL
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
    body      TEXT NOT NULL,
    -- All that was reported of it, for the next report to join.
    history   TEXT NOT NULL
) STRICT;

-- One symptom: a family over one stretch of time.
CREATE TABLE family (
    -- Its name: the key and the start.
    id        TEXT PRIMARY KEY,
    -- The hash of what makes alerts one family.
    key       INTEGER NOT NULL,
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER,
    -- The incident that it belongs to, if any.
    incident  TEXT,
    -- The end is only expected.
    expected  INTEGER NOT NULL,
    -- How many alert episodes it holds.
    episodes  INTEGER NOT NULL,
    -- When its alerts fired, for the next one to join.
    part      TEXT NOT NULL,
    -- As it was when it began: end and number stand beside.
    body      TEXT NOT NULL
) STRICT;

-- The lists' order. With the end in the index, what was over before a page begins is passed by
-- without its row being read.
CREATE INDEX incident_order ON incident (starts_at, id, ends_at);
CREATE INDEX change_order ON change (starts_at, id, ends_at);
CREATE INDEX family_order ON family (starts_at, id, ends_at);

CREATE INDEX family_key ON family (key, starts_at, incident);
CREATE INDEX family_incident ON family (incident, starts_at, id) WHERE incident IS NOT NULL;

-- One firing of one alert. What it says is in the log; a storm adds little more than its times here,
-- in the order of time.
CREATE TABLE alert (
    starts_at INTEGER NOT NULL,
    -- The hash of the alert's identity: sixteen bytes.
    identity  BLOB NOT NULL,
    -- The hash of its family's key; 0: it came too late to be in one.
    family    INTEGER NOT NULL,
    -- Where the log tells of it: event time and content id.
    event_at  INTEGER NOT NULL,
    event     BLOB NOT NULL,
    ends_at   INTEGER,
    -- The end is only expected.
    expected  INTEGER NOT NULL,
    -- Since when its condition held, where that is known.
    pending_at INTEGER,
    -- Whether an episode begins with it ...
    first     INTEGER NOT NULL,
    -- ... and when that ends.
    episode_ends_at  INTEGER,
    episode_expected INTEGER NOT NULL,
    PRIMARY KEY (starts_at, identity)
) STRICT, WITHOUT ROWID;

CREATE INDEX alert_family ON alert (family, starts_at, identity);

-- Filters that know every alert that began before `position.recent`.
CREATE TABLE seen (
    id     INTEGER PRIMARY KEY,
    newest INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    bits   BLOB NOT NULL
) STRICT;

CREATE TABLE note (
    -- In the order in which notes are told: microseconds since 1970, then the content id.
    at   INTEGER NOT NULL,
    id   BLOB NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (at, id)
) STRICT, WITHOUT ROWID;
