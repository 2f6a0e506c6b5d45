-- What is old is dropped.

-- Before this time events were dropped: microseconds since 1970. NULL: none was.
ALTER TABLE head ADD COLUMN held_from INTEGER;
