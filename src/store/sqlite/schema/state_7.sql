-- A filter takes some alerts for others: what is looked for then was there in the filter's time, if at all.

-- When the first firing began that this filter tells of and none before it.
ALTER TABLE seen ADD COLUMN oldest INTEGER NOT NULL DEFAULT 0;

UPDATE seen SET oldest = ifnull((SELECT min(starts_at) FROM alert), 0);
