-- Owners of endpoints are written to; answers with secrets are kept sealed; accounts may be verified by telephone.

ALTER TABLE webhook_endpoints ADD COLUMN owner_written_at timestamptz;
COMMENT ON COLUMN webhook_endpoints.owner_written_at IS 'When an email about this stop was put into the outbox, or it was found that there is nobody to write to; null until then.';
-- Those that were stopped before are known to their owners.
UPDATE webhook_endpoints SET owner_written_at = state_since
    WHERE state IN ('paused', 'disabled') AND state_reason IS NOT NULL;
CREATE INDEX webhook_endpoints_unwritten ON webhook_endpoints (id)
    WHERE state IN ('paused', 'disabled') AND state_reason IS NOT NULL AND owner_written_at IS NULL;

COMMENT ON COLUMN idempotency_keys.response IS 'Body of the first answer; sealed with a key that the database does not have, in base64, where it holds a secret.';

ALTER TABLE accounts ADD COLUMN email_claim text;
COMMENT ON COLUMN accounts.created_at IS 'When the code of its registration came back.';
COMMENT ON COLUMN accounts.email_key IS 'What the account is found by and nobody else has: its email address in small letters once a code showed that it is the holder''s own, until then its verified telephone number.';
COMMENT ON COLUMN accounts.email_claim IS 'The email address in small letters where no code has shown yet that it is the holder''s own. Several accounts may claim one address.';
CREATE INDEX accounts_email_claim ON accounts (email_claim, id) WHERE email_claim IS NOT NULL;
