-- Webhooks: where merchants want to be told of their orders' events, what is on its way there, and how it went.
-- Only webhook_outbox is written with an order's events. Everything else happens afterwards, so that no endpoint and
-- no receiver can hold up an order.

CREATE TABLE webhook_endpoints (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    url text NOT NULL,
    description text NOT NULL,
    types text[] NOT NULL,
    state text NOT NULL,
    state_since timestamptz NOT NULL,
    state_reason text,
    owner_told_at timestamptz,
    secret bytea NOT NULL,
    previous_secret bytea,
    previous_until timestamptz,
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    succeeded_at timestamptz,
    quiet_until timestamptz,
    CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_endpoints_state_known CHECK (state IN ('active', 'paused', 'disabled', 'deleted')),
    CONSTRAINT webhook_endpoints_previous_ends CHECK ((previous_secret IS NULL) = (previous_until IS NULL)),
    CONSTRAINT webhook_endpoints_failing_is_dated CHECK ((failures = 0) = (failing_since IS NULL))
);

COMMENT ON TABLE webhook_endpoints IS 'Addresses of merchants'' programs that are told of events.';
COMMENT ON COLUMN webhook_endpoints.id IS 'The endpoint (UUIDv7).';
COMMENT ON COLUMN webhook_endpoints.merchant_id IS 'Whose it is.';
COMMENT ON COLUMN webhook_endpoints.created_at IS 'When it was made: earlier events do not reach it.';
COMMENT ON COLUMN webhook_endpoints.url IS 'Where messages are posted.';
COMMENT ON COLUMN webhook_endpoints.description IS 'The merchant''s own words for it.';
COMMENT ON COLUMN webhook_endpoints.types IS 'Types of events that it wants; empty for all, future ones too.';
COMMENT ON COLUMN webhook_endpoints.state IS 'active; paused by the server since it kept failing: messages wait; disabled by its owner or its own 410: events pass by; deleted: removed by the next upkeep.';
COMMENT ON COLUMN webhook_endpoints.state_since IS 'Since when it is in its state, in product time.';
COMMENT ON COLUMN webhook_endpoints.state_reason IS 'Why the server paused or disabled it.';
COMMENT ON COLUMN webhook_endpoints.owner_told_at IS 'When its owner was told that the server stopped sending; null until then.';
COMMENT ON COLUMN webhook_endpoints.secret IS 'What signs its messages, sealed with a key that the database does not have.';
COMMENT ON COLUMN webhook_endpoints.previous_secret IS 'The secret before, sealed alike: it signs too, until previous_until.';
COMMENT ON COLUMN webhook_endpoints.previous_until IS 'Until when the secret before signs too, in product time.';
COMMENT ON COLUMN webhook_endpoints.failures IS 'Failed attempts since the last that succeeded.';
COMMENT ON COLUMN webhook_endpoints.failing_since IS 'The first of them, in product time.';
COMMENT ON COLUMN webhook_endpoints.succeeded_at IS 'The newest attempt that succeeded, in product time.';
COMMENT ON COLUMN webhook_endpoints.quiet_until IS 'Until when it asked not to be called (Retry-After), in product time.';

-- Asked by the journal for every batch of events.
CREATE INDEX webhook_endpoints_listening ON webhook_endpoints (merchant_id) WHERE state IN ('active', 'paused');
CREATE INDEX webhook_endpoints_of_merchant ON webhook_endpoints (merchant_id, id) WHERE state <> 'deleted';
CREATE INDEX webhook_endpoints_active ON webhook_endpoints (id) WHERE state = 'active';
CREATE INDEX webhook_endpoints_deleted ON webhook_endpoints (id) WHERE state = 'deleted';
CREATE INDEX webhook_endpoints_untold ON webhook_endpoints (id)
    WHERE state IN ('paused', 'disabled') AND state_reason IS NOT NULL AND owner_told_at IS NULL;

CREATE TABLE webhook_outbox (
    number bigint GENERATED ALWAYS AS IDENTITY,
    merchant_id uuid NOT NULL,
    order_id uuid NOT NULL,
    sequence bigint NOT NULL,
    name text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT webhook_outbox_pkey PRIMARY KEY (number)
);

COMMENT ON TABLE webhook_outbox IS 'Events that merchants with endpoints are to be told of. Written in the statement that writes the event, and taken out as messages within a second.';
COMMENT ON COLUMN webhook_outbox.number IS 'Counts rows; those of one order in the order of its events.';
COMMENT ON COLUMN webhook_outbox.merchant_id IS 'Who is to be told: the order''s owner, or a seller of a part.';
COMMENT ON COLUMN webhook_outbox.order_id IS 'The order.';
COMMENT ON COLUMN webhook_outbox.sequence IS 'The event''s seq.';
COMMENT ON COLUMN webhook_outbox.name IS 'The event''s name.';
COMMENT ON COLUMN webhook_outbox.at IS 'When it happened, in product time.';

CREATE TABLE webhook_messages (
    id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    lane uuid NOT NULL,
    order_id uuid,
    sequence bigint NOT NULL,
    type text NOT NULL,
    at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    state text NOT NULL,
    due_at timestamptz,
    tries integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    claims integer NOT NULL DEFAULT 0,
    settled_at timestamptz,
    last_problem text,
    CONSTRAINT webhook_messages_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_messages_state_known CHECK (state IN ('waiting', 'delivered', 'set_aside')),
    CONSTRAINT webhook_messages_due_while_waiting CHECK (due_at IS NULL OR state = 'waiting'),
    CONSTRAINT webhook_messages_settled_is_dated CHECK ((state = 'waiting') = (settled_at IS NULL))
);

COMMENT ON TABLE webhook_messages IS 'One event on its way to one endpoint. Its text is made from the order''s events when it is sent. Kept for 30 days.';
COMMENT ON COLUMN webhook_messages.id IS 'The message (UUIDv7): webhook-id, the same at every attempt.';
COMMENT ON COLUMN webhook_messages.endpoint_id IS 'Where it goes.';
COMMENT ON COLUMN webhook_messages.lane IS 'Messages of one endpoint and lane go one after the other: the order, or for a test the message itself.';
COMMENT ON COLUMN webhook_messages.order_id IS 'The order; null for a test.';
COMMENT ON COLUMN webhook_messages.sequence IS 'The event''s seq; 0 for a test.';
COMMENT ON COLUMN webhook_messages.type IS 'The type of event.';
COMMENT ON COLUMN webhook_messages.at IS 'When the event happened, in product time.';
COMMENT ON COLUMN webhook_messages.created_at IS 'When the message was made, in product time.';
COMMENT ON COLUMN webhook_messages.state IS 'waiting, delivered, or set_aside after the last attempt failed.';
COMMENT ON COLUMN webhook_messages.due_at IS 'When it is to be sent, or while it is being sent when another may send it. Null while an earlier one of its lane waits.';
COMMENT ON COLUMN webhook_messages.tries IS 'Failed attempts since it was made or last replayed: its place in the schedule.';
COMMENT ON COLUMN webhook_messages.attempts IS 'Attempts in all.';
COMMENT ON COLUMN webhook_messages.claims IS 'How often it was taken to be sent: an outcome counts only for the newest claim.';
COMMENT ON COLUMN webhook_messages.settled_at IS 'When it was delivered or set aside, in product time.';
COMMENT ON COLUMN webhook_messages.last_problem IS 'What the newest attempt met, if it failed.';

CREATE INDEX webhook_messages_due ON webhook_messages (endpoint_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_messages_lane ON webhook_messages (endpoint_id, lane, sequence) WHERE state = 'waiting';
CREATE INDEX webhook_messages_of_endpoint ON webhook_messages (endpoint_id, id);
CREATE INDEX webhook_messages_by_state ON webhook_messages (endpoint_id, state, id);
CREATE INDEX webhook_messages_by_time ON webhook_messages (endpoint_id, at, id);
CREATE INDEX webhook_messages_settled ON webhook_messages (settled_at) WHERE state <> 'waiting';
CREATE INDEX webhook_messages_waiting ON webhook_messages (created_at) WHERE state = 'waiting';

CREATE TABLE webhook_attempts (
    message_id uuid NOT NULL,
    number integer NOT NULL,
    at timestamptz NOT NULL,
    took_ms integer NOT NULL,
    status smallint,
    problem text,
    answer text NOT NULL,
    CONSTRAINT webhook_attempts_pkey PRIMARY KEY (message_id, number),
    CONSTRAINT webhook_attempts_message_id_fkey
        FOREIGN KEY (message_id) REFERENCES webhook_messages (id) ON DELETE CASCADE
);

COMMENT ON TABLE webhook_attempts IS 'Each time that a message was sent, and what came back.';
COMMENT ON COLUMN webhook_attempts.message_id IS 'The message.';
COMMENT ON COLUMN webhook_attempts.number IS '1 for the first.';
COMMENT ON COLUMN webhook_attempts.at IS 'When, in product time.';
COMMENT ON COLUMN webhook_attempts.took_ms IS 'How long it took, in real milliseconds.';
COMMENT ON COLUMN webhook_attempts.status IS 'The HTTP status that came back; null where none did.';
COMMENT ON COLUMN webhook_attempts.problem IS 'What was wrong; null where it succeeded.';
COMMENT ON COLUMN webhook_attempts.answer IS 'The beginning of the answer''s body, where it failed.';
