-- Emails and texts on their way out. Written in the same commit as what they tell of, sent afterwards.

CREATE TABLE outbox_messages (
    id uuid NOT NULL,
    channel text NOT NULL,
    state text NOT NULL,
    created_at timestamptz NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    give_up_at timestamptz NOT NULL,
    attempts integer NOT NULL,
    body bytea,
    ended_at timestamptz,
    last_error text,
    CONSTRAINT outbox_messages_pkey PRIMARY KEY (id),
    CONSTRAINT outbox_messages_channel_known CHECK (channel IN ('email', 'text')),
    CONSTRAINT outbox_messages_state_known CHECK (state IN ('waiting', 'sent', 'dead')),
    CONSTRAINT outbox_messages_waiting_has_body CHECK (state <> 'waiting' OR body IS NOT NULL),
    CONSTRAINT outbox_messages_end_is_dated CHECK ((state = 'waiting') = (ended_at IS NULL))
);

COMMENT ON TABLE outbox_messages IS 'Emails and texts to send. Sent ones are removed after a week, dead ones after ninety days.';
COMMENT ON COLUMN outbox_messages.id IS 'The message (UUIDv7); receivers see it as Message-ID.';
COMMENT ON COLUMN outbox_messages.channel IS 'email or text.';
COMMENT ON COLUMN outbox_messages.state IS 'waiting, sent, or dead: refused for good, or tried too often, or too late.';
COMMENT ON COLUMN outbox_messages.created_at IS 'When it was written.';
COMMENT ON COLUMN outbox_messages.next_attempt_at IS 'When it is due; while it is being sent, when another may take it over.';
COMMENT ON COLUMN outbox_messages.give_up_at IS 'When it is of no use any more.';
COMMENT ON COLUMN outbox_messages.attempts IS 'How often sending was begun.';
COMMENT ON COLUMN outbox_messages.body IS 'Receiver and text, sealed with a key that the database does not have; gone when it ended.';
COMMENT ON COLUMN outbox_messages.ended_at IS 'When it was sent or given up.';
COMMENT ON COLUMN outbox_messages.last_error IS 'What the last failed attempt met, without receiver and text.';

CREATE INDEX outbox_messages_due ON outbox_messages (channel, next_attempt_at) WHERE state = 'waiting';
CREATE INDEX outbox_messages_ended ON outbox_messages (ended_at, state) WHERE state <> 'waiting';
