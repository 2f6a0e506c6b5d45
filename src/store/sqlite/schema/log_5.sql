-- Changes are few among alerts, and are looked for further back.
CREATE INDEX event_change ON event (at, id) WHERE substr(body, 1, 16) = '{"type":"change"' AND NOT late;
