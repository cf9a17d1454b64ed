-- What was done with accounts, rights and the service itself, and by whom. Only ever added to.

CREATE TABLE audit_log (
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    act text NOT NULL,
    actor text NOT NULL,
    subject text,
    address text,
    request_id text,
    details jsonb NOT NULL,
    CONSTRAINT audit_log_pkey PRIMARY KEY (id)
);

COMMENT ON TABLE audit_log IS 'Administrative and security acts. Kept; a trigger refuses changes and removals.';
COMMENT ON COLUMN audit_log.id IS 'The entry (UUIDv7).';
COMMENT ON COLUMN audit_log.at IS 'When, by the machine''s own clock.';
COMMENT ON COLUMN audit_log.act IS 'What, as in account.banned.';
COMMENT ON COLUMN audit_log.actor IS 'Who: an account, the holder of a development token, system, or nobody.';
COMMENT ON COLUMN audit_log.subject IS 'On whom or what.';
COMMENT ON COLUMN audit_log.address IS 'From which network address; null where none was involved.';
COMMENT ON COLUMN audit_log.request_id IS 'Under which request; null where none was.';
COMMENT ON COLUMN audit_log.details IS 'What else belongs to it. Never a secret.';

CREATE INDEX audit_log_by_time ON audit_log (at, id);
CREATE INDEX audit_log_of_subject ON audit_log (subject, at, id) WHERE subject IS NOT NULL;
CREATE INDEX audit_log_of_actor ON audit_log (actor, at, id);

CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_log_is_kept BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_refuse();
CREATE TRIGGER audit_log_is_kept_whole BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse();
