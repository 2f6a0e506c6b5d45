-- An incident's first alerts are found in the index alone.
DROP INDEX alert_family;
CREATE INDEX alert_family ON alert (family, starts_at, identity, first);
