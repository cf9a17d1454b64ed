-- Orders, their history, and the drivers' time that they hold.
--
-- One order is one row. Its whole state lies in `state`; every other column of `orders` is derived from it and
-- is there to be found by. Rows are written by the journal alone (crates/storage/src/journal), an order's row and
-- its events in one statement. There are no foreign keys between them: nothing else writes here, and the check of
-- a key would cost the journal a look-up for each event.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE orders (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    zone_id uuid NOT NULL,
    customer_id uuid,
    driver_id uuid,
    offered_driver_id uuid,
    version bigint NOT NULL,
    previous_version bigint NOT NULL,
    placed_at timestamptz NOT NULL,
    promised_at timestamptz NOT NULL,
    settled_at timestamptz,
    status text NOT NULL,
    settled_status text GENERATED ALWAYS AS (CASE WHEN settled_at IS NOT NULL THEN status END) STORED,
    speed text NOT NULL,
    reference text,
    state json NOT NULL,
    CONSTRAINT orders_pkey PRIMARY KEY (id),
    CONSTRAINT orders_version_moves_on CHECK (version > previous_version AND previous_version >= 0),
    CONSTRAINT orders_speed_known CHECK (speed IN ('fast', 'slow')),
    CONSTRAINT orders_status_known CHECK (status IN (
        'pending', 'confirmed', 'offered', 'assigned', 'enroute_to_pickup', 'arrived_at_pickup', 'picked_up',
        'enroute_to_dropoff', 'arrived_at_dropoff', 'delivered', 'rejected', 'canceled', 'expired', 'failed',
        'returning', 'returned')),
    CONSTRAINT orders_settled_when_final CHECK (
        (settled_at IS NOT NULL) = (status IN ('delivered', 'rejected', 'canceled', 'expired', 'failed', 'returned')))
) WITH (fillfactor = 70);

COMMENT ON TABLE orders IS 'What a customer receives at one door. One row is the whole present state of one order.';
COMMENT ON COLUMN orders.id IS 'The order (UUIDv7).';
COMMENT ON COLUMN orders.merchant_id IS 'The merchant who handed it in and owns it. Other sellers: order_sellers.';
COMMENT ON COLUMN orders.zone_id IS 'The zone of its first pickup.';
COMMENT ON COLUMN orders.customer_id IS 'The customer, where known.';
COMMENT ON COLUMN orders.driver_id IS 'The driver who works it, or had it when it ended.';
COMMENT ON COLUMN orders.offered_driver_id IS 'The driver who holds the open offer, if one is open.';
COMMENT ON COLUMN orders.version IS 'How many events made this state: the seq of the newest.';
COMMENT ON COLUMN orders.previous_version IS 'The version that this row replaced; 0 for a new order. The journal writes a row only over the version it names here.';
COMMENT ON COLUMN orders.placed_at IS 'When it was accepted, in product time.';
COMMENT ON COLUMN orders.promised_at IS 'The promised time at the door.';
COMMENT ON COLUMN orders.settled_at IS 'When it reached a final status; null while it is live.';
COMMENT ON COLUMN orders.status IS 'Where it stands. Not indexed on purpose: a driver''s progress then rewrites no index (heap-only updates).';
COMMENT ON COLUMN orders.settled_status IS 'The final status, null while it is live: what lists by a final status are found by.';
COMMENT ON COLUMN orders.speed IS 'fast or slow.';
COMMENT ON COLUMN orders.reference IS 'The merchant''s own name for it. Not unique.';
COMMENT ON COLUMN orders.state IS 'The state as JSON, as the domain''s Order reads and writes it.';

-- Live orders: restarts of everything, of a zone, of a driver.
CREATE INDEX orders_live_of_zone ON orders (zone_id, placed_at, id) WHERE settled_at IS NULL;
CREATE INDEX orders_live_of_driver ON orders (driver_id, placed_at, id) WHERE settled_at IS NULL AND driver_id IS NOT NULL;
CREATE INDEX orders_offered_to_driver ON orders (offered_driver_id) WHERE offered_driver_id IS NOT NULL;
CREATE INDEX orders_live ON orders (placed_at, id) WHERE settled_at IS NULL;
-- Lists, newest first.
CREATE INDEX orders_by_time ON orders (placed_at, id);
CREATE INDEX orders_of_merchant ON orders (merchant_id, placed_at, id);
CREATE INDEX orders_of_zone ON orders (zone_id, placed_at, id);
CREATE INDEX orders_of_driver ON orders (driver_id, placed_at, id) WHERE driver_id IS NOT NULL;
CREATE INDEX orders_of_customer ON orders (customer_id, placed_at, id) WHERE customer_id IS NOT NULL;
CREATE INDEX orders_by_reference ON orders (reference, placed_at, id) WHERE reference IS NOT NULL;
CREATE INDEX orders_by_settled_status ON orders (settled_status, placed_at, id) WHERE settled_status IS NOT NULL;

CREATE TABLE order_sellers (
    order_id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    placed_at timestamptz NOT NULL,
    CONSTRAINT order_sellers_pkey PRIMARY KEY (order_id, merchant_id)
);

COMMENT ON TABLE order_sellers IS 'Sellers of a part of an order other than its owner, so that their lists find it.';
COMMENT ON COLUMN order_sellers.order_id IS 'The order.';
COMMENT ON COLUMN order_sellers.merchant_id IS 'A seller who does not own it.';
COMMENT ON COLUMN order_sellers.placed_at IS 'The order''s placed_at, which never changes: lists are sorted by it.';

CREATE INDEX order_sellers_of_merchant ON order_sellers (merchant_id, placed_at, order_id);

CREATE TABLE order_events (
    order_id uuid NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    by text NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    correlation_id text,
    payload json NOT NULL,
    CONSTRAINT order_events_pkey PRIMARY KEY (order_id, seq),
    CONSTRAINT order_events_seq_positive CHECK (seq > 0)
);

COMMENT ON TABLE order_events IS 'Everything that happened to an order: the timeline that its customer sees.';
COMMENT ON COLUMN order_events.order_id IS 'The order.';
COMMENT ON COLUMN order_events.seq IS '1 for the first event of the order, without gaps.';
COMMENT ON COLUMN order_events.at IS 'When, in product time.';
COMMENT ON COLUMN order_events.by IS 'Who: system, or the id of an admin, merchant, customer or driver on the wire.';
COMMENT ON COLUMN order_events.name IS 'The event''s name on the wire.';
COMMENT ON COLUMN order_events.status IS 'The order''s status after it.';
COMMENT ON COLUMN order_events.correlation_id IS 'The request or message that caused it, as in the logs.';
COMMENT ON COLUMN order_events.payload IS 'The event as JSON, as the domain''s Event reads and writes it.';

CREATE TABLE commitments (
    order_id uuid NOT NULL,
    version bigint NOT NULL,
    driver_id uuid NOT NULL,
    during tstzrange NOT NULL,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT commitments_pkey PRIMARY KEY (order_id, version),
    CONSTRAINT commitments_during_bounded CHECK (
        NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)),
    CONSTRAINT commitments_no_overlap EXCLUDE USING gist (driver_id WITH =, during WITH &&) WHERE (active)
);

COMMENT ON TABLE commitments IS 'Time of a driver that an assigned order holds. No two active ones of a driver overlap; touching ends do not.';
COMMENT ON COLUMN commitments.order_id IS 'The order that holds the time.';
COMMENT ON COLUMN commitments.version IS 'The order''s version when it took it: an order that changes drivers leaves a row for each.';
COMMENT ON COLUMN commitments.driver_id IS 'Whose time.';
COMMENT ON COLUMN commitments.during IS 'From the start (inside) to the end (outside), in product time.';
COMMENT ON COLUMN commitments.active IS 'False once given back: the order ended or the driver lost it.';

CREATE UNIQUE INDEX commitments_one_active_per_order ON commitments (order_id) WHERE active;
