-- There are several receivers now. What waits from before is for the one that there was.

ALTER TABLE outbox ADD COLUMN receiver TEXT NOT NULL DEFAULT 'notices';

DROP INDEX outbox_waiting;
CREATE INDEX outbox_waiting ON outbox (receiver, next_attempt, made_at, id) WHERE next_attempt IS NOT NULL;
