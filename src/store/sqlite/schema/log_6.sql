-- One index in the place of two: a post that comes alone writes a page for each.

-- What came too late is apart, for whoever looks for the first or the last that did not. The same event
-- is never in both: the writer looks for it in the other one.
DROP INDEX event_on_time;
DROP INDEX event_order;
CREATE UNIQUE INDEX event_order ON event (late, at, id);

-- `head` is written only where rows move or are dropped. What came since has the numbers that follow.
