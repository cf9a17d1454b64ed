-- People can go: accounts are deleted, and what orders hold of people ends by configured days. Ids stay, so that orders,
-- decisions and the audit log still add up.

ALTER TABLE accounts
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN forgotten_at timestamptz,
    ADD CONSTRAINT accounts_forgotten_was_deleted CHECK (forgotten_at IS NULL OR deleted_at IS NOT NULL);

COMMENT ON TABLE accounts IS 'People and firms who can sign in. Rows are never removed: orders and audit entries name them. Of a deleted account the row holds nothing that is about anybody.';
COMMENT ON COLUMN accounts.deleted_at IS 'When its holder deleted it; null where they did not. Nobody finds it any more, and its email address is free.';
COMMENT ON COLUMN accounts.forgotten_at IS 'When everything else that was kept of its party was forgotten too; null until then.';
COMMENT ON COLUMN accounts.email_key IS 'What the account is found by and nobody else has: its email address in small letters once a code showed that it is the holder''s own, until then its verified telephone number. Of a deleted account its id, which nobody can type as either.';

-- Asked every few seconds: nearly always empty.
CREATE INDEX accounts_to_forget ON accounts (deleted_at, id) WHERE deleted_at IS NOT NULL AND forgotten_at IS NULL;

-- What goes with an account is found by it.
CREATE INDEX challenges_of_account ON challenges (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX google_sign_ins_of_account ON google_sign_ins (account_id) WHERE account_id IS NOT NULL;

CREATE TABLE forgetting (
    what text NOT NULL,
    settled_at timestamptz NOT NULL,
    order_id uuid NOT NULL,
    CONSTRAINT forgetting_pkey PRIMARY KEY (what),
    CONSTRAINT forgetting_what_known CHECK (what IN ('contacts', 'proofs'))
);

COMMENT ON TABLE forgetting IS 'How far what orders hold of people was forgotten: orders are taken in the order in which they were settled. Written with what it tells of.';
COMMENT ON COLUMN forgetting.what IS 'contacts or proofs.';
COMMENT ON COLUMN forgetting.settled_at IS 'When the last order that was taken was settled, in product time.';
COMMENT ON COLUMN forgetting.order_id IS 'The last order that was taken.';

-- Entries of the audit log end by configured days, where an operator asks for it. Whoever does it says so in their
-- transaction, and nothing of the last quarter can be removed even so.
CREATE OR REPLACE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_setting('posthaste.audit_retention', true) = 'on' AND OLD.at < now() - interval '89 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is only added to' USING ERRCODE = 'insufficient_privilege';
END
$$;

COMMENT ON FUNCTION audit_log_refuse() IS 'Refuses changes and removals of audit entries, but for those of more than 89 days by a transaction that says posthaste.audit_retention = on.';
COMMENT ON TABLE audit_log IS 'Administrative and security acts. Kept, or for as many days as configured; a trigger refuses changes and other removals.';

COMMENT ON COLUMN orders.state IS 'The state as JSON, as the domain''s Order reads and writes it. What is about people in it is forgotten, at the same version, some days after the order was settled.';
COMMENT ON COLUMN order_events.payload IS 'The event as JSON, as the domain''s Event reads and writes it; the first event of an order mostly without the order''s state, which its row has. What is about people in it is forgotten with that of the state.';
