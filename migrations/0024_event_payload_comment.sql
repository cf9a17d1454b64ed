-- What a first event holds has changed since the column was described.

COMMENT ON COLUMN order_events.payload IS 'The event as JSON, as the domain''s Event reads and writes it; the first event of an order mostly without the order''s state, which its row has.';
