-- Jobs: what is to be done later, written in the transaction of what asks for it. One queue for everybody; a kind says who does
-- them and how. Emails and texts move here from their outbox; docs/adr/0042-jobs.md says why it is like this.

CREATE SEQUENCE jobs_place;

CREATE TABLE jobs (
    id uuid NOT NULL,
    kind text NOT NULL,
    lane text,
    place bigint NOT NULL,
    group_name text NOT NULL,
    key text,
    payload bytea,
    state text NOT NULL,
    behind boolean NOT NULL,
    due_at timestamptz NOT NULL,
    give_up_at timestamptz,
    attempts integer NOT NULL,
    tries integer NOT NULL,
    claim bigint NOT NULL,
    leased_until timestamptz,
    last_error text,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    kept_until timestamptz,
    CONSTRAINT jobs_pkey PRIMARY KEY (id),
    CONSTRAINT jobs_state_known CHECK (state IN ('waiting', 'running', 'done', 'dead')),
    CONSTRAINT jobs_lease_while_running CHECK ((state = 'running') = (leased_until IS NOT NULL)),
    CONSTRAINT jobs_end_is_dated CHECK (num_nulls(ended_at, kept_until) = CASE WHEN state IN ('done', 'dead') THEN 0 ELSE 2 END),
    CONSTRAINT jobs_behind_in_a_lane CHECK (NOT behind OR (state = 'waiting' AND lane IS NOT NULL)),
    CONSTRAINT jobs_payload_bounded CHECK (octet_length(payload) <= 131200),
    CONSTRAINT jobs_names_bounded CHECK (octet_length(kind) <= 200 AND octet_length(lane) <= 200 AND octet_length(group_name) <= 200 AND octet_length(key) <= 200)
);

COMMENT ON TABLE jobs IS 'What is to be done later, at least once. Ended ones are kept for a time that their kind says.';
COMMENT ON COLUMN jobs.id IS 'The job (UUIDv7). Of an email or text it is the message''s, which receivers see as Message-ID.';
COMMENT ON COLUMN jobs.kind IS 'What is to be done: the name of a kind in the program.';
COMMENT ON COLUMN jobs.lane IS 'Jobs of one kind and lane run one after the other, in the order of their places. Null: it runs beside everything.';
COMMENT ON COLUMN jobs.place IS 'Its place in its lane, the smallest first: as it was put, or as who put it says.';
COMMENT ON COLUMN jobs.group_name IS 'Whose time it takes: of one group few run at once, and a group can be held. Empty: nobody''s.';
COMMENT ON COLUMN jobs.key IS 'While a job of this kind and key waits or runs, no other one is put. Null: as many as are put.';
COMMENT ON COLUMN jobs.payload IS 'What the kind needs to know to do it, sealed where the kind says so; gone when it ended, but of dead ones that can be tried again.';
COMMENT ON COLUMN jobs.state IS 'waiting, running, done, or dead: refused for good, tried too often, or too late.';
COMMENT ON COLUMN jobs.behind IS 'Whether an earlier one of its lane is known to wait or run, so that nobody looks at it until that one ends.';
COMMENT ON COLUMN jobs.due_at IS 'When it is to be done, at the earliest: in product time, or in real time where the kind says so.';
COMMENT ON COLUMN jobs.give_up_at IS 'When it is of no use any more, by the same clock. Null: never.';
COMMENT ON COLUMN jobs.attempts IS 'How often it was begun in all.';
COMMENT ON COLUMN jobs.tries IS 'How often it was begun since it was put or last tried again by hand: its place in the schedule of retries.';
COMMENT ON COLUMN jobs.claim IS 'Counts who took it: what a run came to counts only for the newest claim.';
COMMENT ON COLUMN jobs.leased_until IS 'While it runs: when somebody else may take it over, by the clock of this database, in real time.';
COMMENT ON COLUMN jobs.last_error IS 'What the last failed run met, without anything that is secret or personal.';
COMMENT ON COLUMN jobs.created_at IS 'When it was put, by the clock of its kind.';
COMMENT ON COLUMN jobs.ended_at IS 'When it was done or given up, by the clock of its kind.';
COMMENT ON COLUMN jobs.kept_until IS 'When its row is removed, by the clock of this database, in real time.';

-- The first of each group, and of a group the longest due: what nobody has to look at yet is not in it.
CREATE INDEX jobs_due ON jobs (kind, group_name, due_at) WHERE state = 'waiting' AND NOT behind;
CREATE INDEX jobs_leased ON jobs (kind, leased_until) WHERE state = 'running';
CREATE UNIQUE INDEX jobs_key ON jobs (kind, key) WHERE key IS NOT NULL AND state IN ('waiting', 'running');
CREATE INDEX jobs_lane ON jobs (kind, lane, place, id) WHERE lane IS NOT NULL AND state IN ('waiting', 'running');
-- Whatever else may be wrong: never two of a lane at once.
CREATE UNIQUE INDEX jobs_lane_runs ON jobs (kind, lane) WHERE lane IS NOT NULL AND state = 'running';
CREATE INDEX jobs_listed ON jobs (kind, state, id);
CREATE INDEX jobs_ended ON jobs (kept_until) WHERE kept_until IS NOT NULL;

CREATE TABLE job_groups (
    kind text NOT NULL,
    name text NOT NULL,
    held boolean NOT NULL,
    quiet_until timestamptz,
    CONSTRAINT job_groups_pkey PRIMARY KEY (kind, name)
);

COMMENT ON TABLE job_groups IS 'Groups whose jobs wait. A group without a row runs.';
COMMENT ON COLUMN job_groups.kind IS 'The kind.';
COMMENT ON COLUMN job_groups.name IS 'The group, as in jobs.group_name.';
COMMENT ON COLUMN job_groups.held IS 'Whether nothing of it is begun until somebody opens it.';
COMMENT ON COLUMN job_groups.quiet_until IS 'Until when nothing of it is begun, by the clock of its kind. Null: no such time.';

CREATE TABLE job_schedules (
    kind text NOT NULL,
    every_seconds bigint NOT NULL,
    next_at timestamptz NOT NULL,
    last_at timestamptz,
    CONSTRAINT job_schedules_pkey PRIMARY KEY (kind),
    CONSTRAINT job_schedules_period_positive CHECK (every_seconds > 0)
);

COMMENT ON TABLE job_schedules IS 'Kinds of which a job is put again and again. Whoever moves next_at puts it, in the same transaction: once, however many processes there are.';
COMMENT ON COLUMN job_schedules.kind IS 'The kind.';
COMMENT ON COLUMN job_schedules.every_seconds IS 'How often, in seconds of the kind''s clock, as the program said last.';
COMMENT ON COLUMN job_schedules.next_at IS 'When the next is put, by the clock of the kind.';
COMMENT ON COLUMN job_schedules.last_at IS 'When the last was put.';

-- outbox_messages stays for one release: a server of the release before may go on beside this schema until it is replaced, and
-- writes and empties it. What it leaves is taken over when the sender starts, and not here, where that server would still be
-- sending it. To be dropped by the next release.
COMMENT ON TABLE outbox_messages IS 'Of the release before: emails and texts to send, now jobs. Nothing writes it any more; what is left is taken over at the start of the sender. To be dropped by the next release.';

-- Webhooks' messages stay as the record of what merchants were told; when they are sent is a job's business. The columns in which the
-- sender kept its claims stay for one release, unused: messages that wait and have no job get one when the sender starts.
COMMENT ON COLUMN webhook_messages.lane IS 'Of the release before. To be dropped by the next release.';
COMMENT ON COLUMN webhook_messages.due_at IS 'Of the release before: when it was to be sent. Nothing writes it any more. To be dropped by the next release.';
COMMENT ON COLUMN webhook_messages.tries IS 'Of the release before. To be dropped by the next release.';
COMMENT ON COLUMN webhook_messages.claims IS 'Of the release before. To be dropped by the next release.';
