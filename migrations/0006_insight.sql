-- What insight looks back by. Everything else that it reads is found by indexes that were there.

-- Orders placed before a time and settled in it: a driver had them in hand. One entry is added when an order settles,
-- which rewrites its index entries anyway; its steps before that touch nothing here.
CREATE INDEX orders_settled ON orders (settled_at, id, placed_at) WHERE settled_at IS NOT NULL;

-- A driver's shifts in a time, and the one that was on when it began.
CREATE INDEX driver_events_of_shifts ON driver_events (driver_id, at, seq) WHERE name = 'shift_changed';
