-- What the journal writes beside orders and drivers: decisions and idempotency keys. And the clock's last reading.

CREATE TABLE decisions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    order_id uuid NOT NULL,
    driver_id uuid,
    at timestamptz NOT NULL,
    summary text NOT NULL,
    detail json NOT NULL,
    CONSTRAINT decisions_pkey PRIMARY KEY (id)
);

COMMENT ON TABLE decisions IS 'Why an order got its driver, or has none: what the dispatcher weighed.';
COMMENT ON COLUMN decisions.id IS 'Counts decisions in the order they were written.';
COMMENT ON COLUMN decisions.order_id IS 'The order it was about.';
COMMENT ON COLUMN decisions.driver_id IS 'The driver who was chosen; null when nobody could take it.';
COMMENT ON COLUMN decisions.at IS 'When, in product time.';
COMMENT ON COLUMN decisions.summary IS 'In one sentence.';
COMMENT ON COLUMN decisions.detail IS 'The candidates and the reason each was passed over.';

CREATE INDEX decisions_of_order ON decisions (order_id, id);
CREATE INDEX decisions_by_time ON decisions USING brin (at);

CREATE TABLE idempotency_keys (
    principal text NOT NULL,
    key text NOT NULL,
    created_at timestamptz NOT NULL,
    status smallint NOT NULL,
    fingerprint bytea NOT NULL,
    response text NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (principal, key)
);

COMMENT ON TABLE idempotency_keys IS 'First answers of creating requests, replayed when a request comes again with the same key. Kept for a day.';
COMMENT ON COLUMN idempotency_keys.principal IS 'Who asked: keys of two callers never meet.';
COMMENT ON COLUMN idempotency_keys.key IS 'The Idempotency-Key of the request.';
COMMENT ON COLUMN idempotency_keys.created_at IS 'When it was first used, in product time.';
COMMENT ON COLUMN idempotency_keys.status IS 'HTTP status of the first answer.';
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'Digest of the request: the same key with another request is refused.';
COMMENT ON COLUMN idempotency_keys.response IS 'Body of the first answer.';

CREATE INDEX idempotency_keys_by_time ON idempotency_keys USING brin (created_at);

CREATE TABLE clock_checkpoint (
    single boolean NOT NULL DEFAULT true,
    at timestamptz NOT NULL,
    CONSTRAINT clock_checkpoint_pkey PRIMARY KEY (single),
    CONSTRAINT clock_checkpoint_one_row CHECK (single)
);

COMMENT ON TABLE clock_checkpoint IS 'The clock''s last saved reading, so that product time never runs backwards over a restart.';
COMMENT ON COLUMN clock_checkpoint.single IS 'Always true: there is one row.';
COMMENT ON COLUMN clock_checkpoint.at IS 'Product time when it was saved.';

-- Ends the journal's statement, so that nothing of the batch is written, and says which entries stood in the way.
-- The positions are those in the arrays that the statement was given; Rust reads them from the detail.
CREATE FUNCTION journal_refuse(orders bigint[], drivers bigint[], commitments bigint[], keys bigint[])
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'journal batch refused' USING
        ERRCODE = 'PJ001',
        DETAIL = json_build_object('orders', coalesce(orders, '{}'), 'drivers', coalesce(drivers, '{}'),
            'commitments', coalesce(commitments, '{}'), 'keys', coalesce(keys, '{}'))::text;
END;
$$;

COMMENT ON FUNCTION journal_refuse(bigint[], bigint[], bigint[], bigint[]) IS 'Refuses a batch of the journal: SQLSTATE PJ001, the positions of the bad entries in the detail.';
