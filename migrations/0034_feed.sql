-- The feed: every event of every order, in one order, for whoever has to hear of orders durably. The journal writes a row of
-- it in the statement that writes the event; consumers read it and keep a cursor. Webhooks are the first.

CREATE TABLE order_feed (
    number bigint NOT NULL,
    order_id uuid,
    seq bigint,
    name text,
    status text,
    merchants uuid[],
    at timestamptz NOT NULL,
    CONSTRAINT order_feed_pkey PRIMARY KEY (number),
    CONSTRAINT order_feed_whole_or_empty CHECK (num_nulls(order_id, seq, name, status, merchants) IN (0, 5))
);

COMMENT ON TABLE order_feed IS 'Events of orders in the order in which they are to be read: no more than who has to hear of what; the event itself stands in order_events. Numbers are drawn by the journal in memory, have gaps, and are stored in any order: only the program knows up to which number it can be read. Kept until every consumer has passed, and some days.';
COMMENT ON COLUMN order_feed.number IS 'Its place: larger for later events of the same order.';
COMMENT ON COLUMN order_feed.order_id IS 'The order. Null, as all of the event is, where a batch of unknown outcome was looked up and had not been written: the row keeps its number, so that it never comes.';
COMMENT ON COLUMN order_feed.seq IS 'The event''s seq in order_events.';
COMMENT ON COLUMN order_feed.name IS 'The event''s name.';
COMMENT ON COLUMN order_feed.status IS 'The order''s status after the event.';
COMMENT ON COLUMN order_feed.merchants IS 'Whose business the order is: its owner first, then the sellers of parts.';
COMMENT ON COLUMN order_feed.at IS 'When it happened, in product time; for a kept number, when it was looked up.';

CREATE TABLE feed_cursors (
    consumer text NOT NULL,
    number bigint NOT NULL,
    CONSTRAINT feed_cursors_pkey PRIMARY KEY (consumer)
);

COMMENT ON TABLE feed_cursors IS 'How far each consumer has read the feed. Moved in the transaction that does what follows from the events.';
COMMENT ON COLUMN feed_cursors.consumer IS 'Who reads.';
COMMENT ON COLUMN feed_cursors.number IS 'The last number that was read. What has a larger one is to come.';

INSERT INTO feed_cursors (consumer, number) VALUES ('webhooks', 0);

ALTER TABLE webhook_endpoints ADD COLUMN after_number bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN webhook_endpoints.after_number IS 'The newest number of the feed when the endpoint was made, or was switched on again: it is told of later ones.';

-- webhook_outbox stays for one release: a server of the release before may go on beside this schema until it is replaced,
-- and writes and empties it. What it leaves is taken out before the feed is read. To be dropped by the next release.
COMMENT ON TABLE webhook_outbox IS 'Of the release before: events that merchants with endpoints are to be told of. Nothing writes it any more; what is left is taken out at the start of the sender. To be dropped by the next release.';
COMMENT ON INDEX webhook_endpoints_listening IS 'Asked by the sender for every portion of the feed.';
