-- A storm in thousands of families wrote a page of the index for each of them, with each batch. Firings
-- of about the same time now stand together in it, by family: in a segment.

CREATE TABLE segment (
    number  INTEGER PRIMARY KEY,
    -- A firing belongs to the last segment that begins at its start or before. The next one begins
    -- behind all firings that there are, so that none of them ever belongs to another.
    from_at INTEGER NOT NULL UNIQUE,
    -- How many firings were written to it, each time anew.
    written INTEGER NOT NULL
) STRICT;

INSERT INTO segment (number, from_at, written)
    SELECT 0, -9223372036854775808, count(*) FROM alert;

ALTER TABLE alert ADD COLUMN segment INTEGER NOT NULL DEFAULT 0;

DROP INDEX alert_family;
CREATE INDEX alert_family ON alert (segment, family, starts_at, identity, first);
