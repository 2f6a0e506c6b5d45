-- What people say of changes, once they know. No log from before this holds any.

CREATE TABLE feedback (
    -- In the order in which it is told: microseconds since 1970, then the content id.
    at   INTEGER NOT NULL,
    id   BLOB NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (at, id)
) STRICT, WITHOUT ROWID;
