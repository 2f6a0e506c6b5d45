-- A storm in thousands of families writes the courses of all of them with each batch, and most of that
-- were names and times that begin with the same digits. Now nothing has a name, and a time is the distance
-- from the one before it.

UPDATE course SET part = json_array(
    json((
        SELECT json_group_array(json_array(begins - before, ends - begins, episodes)) FROM (
            SELECT value ->> 0 AS begins, value ->> 1 AS ends, value ->> 2 AS episodes,
                lag(value ->> 1, 1, 0) OVER (ORDER BY key) AS before
            FROM json_each(part, '$.ended') ORDER BY key
        )
    )),
    json_array(json((
        SELECT json_group_array(time - before) FROM (
            SELECT value AS time, lag(value, 1, 0) OVER (ORDER BY key) AS before
            FROM json_each(part, '$.firing[0]') ORDER BY key
        )
    )), part ->> '$.firing[1]'),
    json_array(json((
        SELECT json_group_array(time - before) FROM (
            SELECT value AS time, lag(value, 1, 0) OVER (ORDER BY key) AS before
            FROM json_each(part, '$.expected[0]') ORDER BY key
        )
    )), part ->> '$.expected[1]')
);
