-- Of the refresh tokens of a login one is gone on with: the others are set aside when it is used.

ALTER TABLE refresh_tokens ADD COLUMN contested boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN refresh_tokens.contested IS 'Whether it was handed out for one that had rivals: used before, set aside, or beside other open ones. Once it is set aside itself it is never taken.';
COMMENT ON COLUMN refresh_tokens.used_at IS 'When it was first used, or set aside because another of the login was.';
COMMENT ON COLUMN refresh_tokens.uses IS 'How often it was used: more than once only within the grace; 0 beside used_at means set aside.';

CREATE INDEX refresh_tokens_open ON refresh_tokens (login_id) WHERE used_at IS NULL;

-- What is open ends with the mailbox or password that it was for.
CREATE INDEX challenges_open_of_account ON challenges (account_id) WHERE done_at IS NULL;
