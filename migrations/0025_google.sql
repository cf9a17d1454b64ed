-- Sign-in with Google (OpenID Connect): whose Google account is whose here, and sign-ins that are under way.
-- An older program reads and writes accounts as before: every account has a password's hash, also one whose owner never
-- set any (the hash of a secret that nobody knows).

ALTER TABLE accounts
    ADD COLUMN has_password boolean NOT NULL DEFAULT true,
    ADD COLUMN google_issuer text,
    ADD COLUMN google_subject text,
    ADD COLUMN google_email text,
    ADD COLUMN google_linked_at timestamptz,
    ADD CONSTRAINT accounts_google_unique UNIQUE (google_issuer, google_subject),
    ADD CONSTRAINT accounts_google_whole
        CHECK (num_nulls(google_issuer, google_subject, google_email, google_linked_at) IN (0, 4)),
    ADD CONSTRAINT accounts_way_in CHECK (has_password OR google_subject IS NOT NULL);

COMMENT ON COLUMN accounts.has_password IS 'Whether its owner set the password. Where not, the hash is of a secret that nobody knows.';
COMMENT ON COLUMN accounts.google_issuer IS 'Who vouches for its owner (https://accounts.google.com); null where nobody does.';
COMMENT ON COLUMN accounts.google_subject IS 'Who he is there: the sub of ID tokens, which never changes and is nobody else''s.';
COMMENT ON COLUMN accounts.google_email IS 'The email he had there when it was linked, to be shown. Nothing is found by it.';
COMMENT ON COLUMN accounts.google_linked_at IS 'Since when he may come in so.';

CREATE TABLE google_sign_ins (
    state_hash bytea NOT NULL,
    browser_hash bytea NOT NULL,
    account_id uuid,
    login_id uuid,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    returned_at timestamptz,
    details bytea NOT NULL,
    CONSTRAINT google_sign_ins_pkey PRIMARY KEY (state_hash),
    CONSTRAINT google_sign_ins_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT google_sign_ins_link_has_login CHECK ((account_id IS NULL) = (login_id IS NULL))
);

COMMENT ON TABLE google_sign_ins IS 'Sign-ins with Google that are under way, each good for once. Removed when done, or when their time is over.';
COMMENT ON COLUMN google_sign_ins.state_hash IS 'SHA-256 of the state that goes to Google and comes back (256 random bits).';
COMMENT ON COLUMN google_sign_ins.browser_hash IS 'SHA-256 of the secret that the browser (or app) that began it keeps: nobody else may end it.';
COMMENT ON COLUMN google_sign_ins.account_id IS 'The account to link; null where somebody signs in.';
COMMENT ON COLUMN google_sign_ins.login_id IS 'The login in which the link was asked for.';
COMMENT ON COLUMN google_sign_ins.created_at IS 'When it began.';
COMMENT ON COLUMN google_sign_ins.expires_at IS 'When it ends.';
COMMENT ON COLUMN google_sign_ins.returned_at IS 'When the browser came back from Google: it does so once.';
COMMENT ON COLUMN google_sign_ins.details IS 'Sealed: nonce, PKCE verifier, page to go back to, role of a new account, and what Google answered.';

CREATE INDEX google_sign_ins_ended ON google_sign_ins (expires_at);
