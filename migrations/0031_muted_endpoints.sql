-- Endpoints of merchants who are shut out: nothing is sent to them until they are let in again.

ALTER TABLE webhook_endpoints ADD COLUMN muted_at timestamptz;

COMMENT ON COLUMN webhook_endpoints.muted_at IS 'Since when nothing is sent because its owner is shut out, in product time; null while he is not. Messages wait; the state stays as it was.';

CREATE INDEX webhook_endpoints_muted ON webhook_endpoints (merchant_id) WHERE muted_at IS NOT NULL;
