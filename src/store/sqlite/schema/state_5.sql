-- What differs with each alert stands apart from what hardly ever does: a storm in thousands of families
-- wrote all that is told of each again and again.

CREATE TABLE course (
    -- The family that began then, of this key.
    starts_at INTEGER NOT NULL,
    key       INTEGER NOT NULL,
    -- How many alert episodes it holds.
    episodes  INTEGER NOT NULL,
    -- When its alerts fired, for the next one to join.
    part      TEXT NOT NULL,
    PRIMARY KEY (starts_at, key)
) STRICT, WITHOUT ROWID;

INSERT INTO course (starts_at, key, episodes, part)
    SELECT starts_at, key, episodes, part FROM family ORDER BY starts_at, key;

ALTER TABLE family DROP COLUMN episodes;
ALTER TABLE family DROP COLUMN part;
