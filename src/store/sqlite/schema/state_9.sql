-- What ended within a time is found by when it ended: a timeline asked all that had ever begun.
-- Most of it began within that time as well, which the index says without a look at each row.

CREATE INDEX incident_end ON incident (ends_at, starts_at) WHERE ends_at IS NOT NULL;
CREATE INDEX change_end ON change (ends_at, starts_at) WHERE ends_at IS NOT NULL;
CREATE INDEX family_end ON family (ends_at, starts_at) WHERE ends_at IS NOT NULL;
