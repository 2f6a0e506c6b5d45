-- What the daemon did. Nothing makes these again. Times are microseconds since 1970.

-- What was told of incidents; rows are only added, and dropped when they are old.
CREATE TABLE published (
    at       INTEGER NOT NULL,
    -- The incident's id then, and its earliest alert, by which it is found under any id.
    incident TEXT NOT NULL,
    alert    TEXT NOT NULL,
    -- What was said of its cause, as JSON.
    claim    TEXT NOT NULL,
    -- The how manieth notice of the incident it was.
    number   INTEGER NOT NULL
) STRICT;

CREATE INDEX published_order ON published (at);

-- The notices: those that wait have a next attempt, those that are settled have an end.
CREATE TABLE outbox (
    id           TEXT PRIMARY KEY,
    made_at      INTEGER NOT NULL,
    body         TEXT NOT NULL,
    attempts     INTEGER NOT NULL,
    next_attempt INTEGER,
    settled_at   INTEGER,
    -- Why it was given up; none: it was delivered.
    why          TEXT,
    CHECK ((next_attempt IS NULL) = (settled_at IS NOT NULL))
) STRICT;

CREATE INDEX outbox_waiting ON outbox (next_attempt, made_at, id) WHERE next_attempt IS NOT NULL;
CREATE INDEX outbox_settled ON outbox (settled_at) WHERE settled_at IS NOT NULL;

-- When feeds were heard, by name. The latest pauses are seconds in a JSON list, oldest first.
CREATE TABLE feed (
    name   TEXT PRIMARY KEY,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    pauses TEXT NOT NULL
) STRICT;

-- When feeds were not heard; the body is the whole gap as JSON.
CREATE TABLE gap (
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER NOT NULL,
    body      TEXT NOT NULL
) STRICT;

CREATE INDEX gap_order ON gap (ends_at, starts_at);

-- The stretch in which the daemon was awake last; one row, none before the first.
CREATE TABLE awake (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    since    INTEGER NOT NULL,
    until    INTEGER NOT NULL
) STRICT;
