-- A report that an alert fires may hold until some time only, and be told again before that. The
-- report that holds longest takes the place of those before it: rows do not grow with refreshes.

-- Until when the event holds unless it is told again: microseconds since 1970. NULL: for ever, or
-- until its end is told; so it was with all events before this version.
ALTER TABLE event ADD COLUMN valid_until INTEGER;

-- Where the event stood when it was new, if it has moved since: a longer hold puts it at the end, for
-- what follows the log to meet it again, and what was read up to a position still finds it there.
ALTER TABLE event ADD COLUMN first_seq INTEGER;

-- Its time is that of its receipt: the same said again soon is a post that was tried again.
ALTER TABLE event ADD COLUMN at_assumed INTEGER NOT NULL DEFAULT 0;

-- Those are few.
CREATE INDEX event_assumed ON event (id, at) WHERE at_assumed;
