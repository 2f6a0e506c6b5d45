-- What came too late counts for no time at which the log begins or ends, and there may be millions of
-- it in a row, where a past is imported: those are passed by.
CREATE INDEX event_on_time ON event (at) WHERE NOT late;
