-- Nodes: servers of which one serves and the others stand by. And the lease of each region, whose epoch the journal's own
-- statement checks where a server runs as a node.

CREATE TABLE nodes (
    node_id uuid NOT NULL,
    address text NOT NULL,
    version text NOT NULL,
    lock integer,
    beat bigint NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'standing_by',
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT nodes_pkey PRIMARY KEY (node_id),
    CONSTRAINT nodes_state CHECK (state IN ('standing_by', 'leading', 'leaving', 'expelled'))
) WITH (fillfactor = 50);

COMMENT ON TABLE nodes IS 'Servers that run beside each other on this database, one of which leads. A row is one start of one.';
COMMENT ON COLUMN nodes.node_id IS 'New at every start.';
COMMENT ON COLUMN nodes.address IS 'Where it listens while it leads. For people.';
COMMENT ON COLUMN nodes.version IS 'The version of the program. For people.';
COMMENT ON COLUMN nodes.lock IS 'The advisory lock that its first session holds alone while it leads; null before.';
COMMENT ON COLUMN nodes.beat IS 'Counts up while the node lives and reaches the database. Whoever sees the same for long may expel it.';
COMMENT ON COLUMN nodes.state IS 'standing_by, leading, leaving, expelled. Who is expelled stays so: it starts anew.';
COMMENT ON COLUMN nodes.started_at IS 'When, by the clock of Postgres. For people: no decision reads it.';

CREATE TABLE region_leases (
    region_id uuid NOT NULL,
    epoch bigint NOT NULL,
    node_id uuid,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT region_leases_pkey PRIMARY KEY (region_id)
) WITH (fillfactor = 50);

COMMENT ON TABLE region_leases IS 'Which node runs a region. What is written under an epoch that is over is refused by the journal''s statement.';
COMMENT ON COLUMN region_leases.region_id IS 'The region; nil for the first one.';
COMMENT ON COLUMN region_leases.epoch IS 'Goes up by one whenever the region is taken, and whenever it is given back.';
COMMENT ON COLUMN region_leases.node_id IS 'Who has it; null where nobody has, or a server that is no node.';
COMMENT ON COLUMN region_leases.changed_at IS 'When, by the clock of Postgres. For people: no decision reads it.';

INSERT INTO region_leases (region_id, epoch) VALUES ('00000000-0000-0000-0000-000000000000', 0);

CREATE TABLE region_lease_log (
    region_id uuid NOT NULL,
    epoch bigint NOT NULL,
    node_id uuid,
    why text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT region_lease_log_pkey PRIMARY KEY (region_id, epoch),
    CONSTRAINT region_lease_log_why CHECK (why IN ('claimed', 'released', 'taken_without_node'))
);

COMMENT ON TABLE region_lease_log IS 'Every epoch of every region, once: its key is why no two can have had the same.';
COMMENT ON COLUMN region_lease_log.region_id IS 'The region.';
COMMENT ON COLUMN region_lease_log.epoch IS 'The epoch.';
COMMENT ON COLUMN region_lease_log.node_id IS 'Who had the region in it; null where nobody had, or a server that is no node.';
COMMENT ON COLUMN region_lease_log.why IS 'How it began: claimed by a node, released by one, or taken by a server that is none.';
COMMENT ON COLUMN region_lease_log.at IS 'When, by the clock of Postgres.';

-- Ends the journal's statement, so that nothing of the batch is written, where the epoch that it was written under is over.
CREATE FUNCTION journal_not_owner(region uuid, epoch bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'epoch % of region % is over', epoch, region USING ERRCODE = 'PJ002';
END;
$$;

COMMENT ON FUNCTION journal_not_owner(uuid, bigint) IS 'Refuses a batch of the journal: SQLSTATE PJ002, its epoch is over.';
