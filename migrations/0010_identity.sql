-- Who may come in: accounts, what proves them, and for how long. Times are the machine's own, not the product clock's:
-- what is compared with tokens, phones and authenticators follows the world.

CREATE TABLE accounts (
    id uuid NOT NULL,
    role text NOT NULL,
    subject uuid NOT NULL,
    created_at timestamptz NOT NULL,
    email text NOT NULL,
    email_key text NOT NULL,
    name text NOT NULL,
    phone text,
    phone_verified_at timestamptz,
    password text NOT NULL,
    activated_at timestamptz,
    banned_at timestamptz,
    ban_reason text,
    profile jsonb NOT NULL,
    totp_secret bytea,
    totp_confirmed_at timestamptz,
    totp_step bigint NOT NULL DEFAULT 0,
    CONSTRAINT accounts_pkey PRIMARY KEY (id),
    CONSTRAINT accounts_email_unique UNIQUE (email_key),
    CONSTRAINT accounts_subject_unique UNIQUE (role, subject),
    CONSTRAINT accounts_role_known CHECK (role IN ('admin', 'merchant', 'driver', 'customer')),
    CONSTRAINT accounts_ban_has_reason CHECK ((banned_at IS NULL) = (ban_reason IS NULL)),
    CONSTRAINT accounts_second_factor_has_secret CHECK (totp_confirmed_at IS NULL OR totp_secret IS NOT NULL)
);

COMMENT ON TABLE accounts IS 'People and firms who can sign in. Never removed: orders and audit entries name them.';
COMMENT ON COLUMN accounts.id IS 'The account (UUIDv7).';
COMMENT ON COLUMN accounts.role IS 'admin, merchant, driver or customer; never changes.';
COMMENT ON COLUMN accounts.subject IS 'Which admin, merchant, driver or customer the account is to the dispatcher.';
COMMENT ON COLUMN accounts.created_at IS 'When its email was verified.';
COMMENT ON COLUMN accounts.email IS 'The email as it was written.';
COMMENT ON COLUMN accounts.email_key IS 'The email in lower case, by which it is found.';
COMMENT ON COLUMN accounts.name IS 'How its holder is called.';
COMMENT ON COLUMN accounts.phone IS 'A telephone number in international form (+…).';
COMMENT ON COLUMN accounts.phone_verified_at IS 'When a code sent to the number came back; null where it did not.';
COMMENT ON COLUMN accounts.password IS 'The password''s argon2id hash with its parameters (PHC string).';
COMMENT ON COLUMN accounts.activated_at IS 'When an admin let it work; customers and admins need none.';
COMMENT ON COLUMN accounts.banned_at IS 'Since when it may not come in; null where it may.';
COMMENT ON COLUMN accounts.ban_reason IS 'Why, in words.';
COMMENT ON COLUMN accounts.profile IS 'What its role has beside that: addresses, stores, or vehicle and zones.';
COMMENT ON COLUMN accounts.totp_secret IS 'The authenticator''s secret, sealed with a key that the database does not have.';
COMMENT ON COLUMN accounts.totp_confirmed_at IS 'Since when the second factor is on: a first code came back.';
COMMENT ON COLUMN accounts.totp_step IS 'The newest time step whose code was used: it and earlier ones are refused.';

CREATE INDEX accounts_by_time ON accounts (created_at, id);
CREATE INDEX accounts_waiting ON accounts (created_at, id) WHERE activated_at IS NULL AND banned_at IS NULL;
CREATE INDEX accounts_banned ON accounts (banned_at, id) WHERE banned_at IS NOT NULL;

CREATE TABLE recovery_codes (
    account_id uuid NOT NULL,
    hash bytea NOT NULL,
    used_at timestamptz,
    CONSTRAINT recovery_codes_pkey PRIMARY KEY (account_id, hash),
    CONSTRAINT recovery_codes_account FOREIGN KEY (account_id) REFERENCES accounts (id)
);

COMMENT ON TABLE recovery_codes IS 'Codes for who has lost the authenticator. Replaced as a set.';
COMMENT ON COLUMN recovery_codes.account_id IS 'Whose.';
COMMENT ON COLUMN recovery_codes.hash IS 'Keyed digest of the code.';
COMMENT ON COLUMN recovery_codes.used_at IS 'When it was used; each is good for once.';

CREATE TABLE challenges (
    id uuid NOT NULL,
    purpose text NOT NULL,
    account_id uuid,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    hash bytea NOT NULL,
    tries_left smallint NOT NULL,
    done_at timestamptz,
    details jsonb NOT NULL,
    CONSTRAINT challenges_pkey PRIMARY KEY (id),
    CONSTRAINT challenges_purpose_known CHECK (purpose IN ('register', 'recover', 'change_email', 'verify_phone')),
    CONSTRAINT challenges_tries_counted CHECK (tries_left >= 0)
);

COMMENT ON TABLE challenges IS 'Codes that were sent out and may come back. Removed a day after they ended.';
COMMENT ON COLUMN challenges.id IS 'The challenge (UUIDv7), which whoever asked for it sends back with the code.';
COMMENT ON COLUMN challenges.purpose IS 'What the code is good for.';
COMMENT ON COLUMN challenges.account_id IS 'Whose; null before there is an account, and where nobody has the email.';
COMMENT ON COLUMN challenges.created_at IS 'When it was asked for.';
COMMENT ON COLUMN challenges.expires_at IS 'When it ends.';
COMMENT ON COLUMN challenges.hash IS 'Keyed digest of challenge and code.';
COMMENT ON COLUMN challenges.tries_left IS 'Wrong codes that it still takes.';
COMMENT ON COLUMN challenges.done_at IS 'When the code came back: it is good for once.';
COMMENT ON COLUMN challenges.details IS 'What is done then: the registration, the new email or the number.';

CREATE INDEX challenges_ended ON challenges (expires_at);

CREATE TABLE logins (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    proved_at timestamptz NOT NULL,
    second_factor boolean NOT NULL,
    device text NOT NULL,
    address text NOT NULL,
    revoked_at timestamptz,
    revoked_because text,
    CONSTRAINT logins_pkey PRIMARY KEY (id),
    CONSTRAINT logins_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT logins_revoked_because CHECK ((revoked_at IS NULL) = (revoked_because IS NULL))
);

COMMENT ON TABLE logins IS 'Sessions: one for each sign-in on a device. Removed ninety days after they ended.';
COMMENT ON COLUMN logins.id IS 'The login (UUIDv7).';
COMMENT ON COLUMN logins.account_id IS 'Whose.';
COMMENT ON COLUMN logins.created_at IS 'When it began.';
COMMENT ON COLUMN logins.last_used_at IS 'When it was last refreshed.';
COMMENT ON COLUMN logins.expires_at IS 'When it ends unless it is refreshed before.';
COMMENT ON COLUMN logins.ends_at IS 'When it ends in any case.';
COMMENT ON COLUMN logins.proved_at IS 'When password or second factor were last shown.';
COMMENT ON COLUMN logins.second_factor IS 'Whether a second factor was shown in it.';
COMMENT ON COLUMN logins.device IS 'What the device called itself (user agent).';
COMMENT ON COLUMN logins.address IS 'The network address that it began or was last refreshed from.';
COMMENT ON COLUMN logins.revoked_at IS 'When it was ended before its time.';
COMMENT ON COLUMN logins.revoked_because IS 'Why: logged_out, revoked, reused, password_changed, email_changed, banned, ….';

CREATE INDEX logins_of_account ON logins (account_id, id);
CREATE INDEX logins_revoked ON logins (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX logins_ended ON logins (expires_at);

CREATE TABLE refresh_tokens (
    hash bytea NOT NULL,
    login_id uuid NOT NULL,
    issued_at timestamptz NOT NULL,
    used_at timestamptz,
    uses smallint NOT NULL DEFAULT 0,
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (hash),
    CONSTRAINT refresh_tokens_login FOREIGN KEY (login_id) REFERENCES logins (id) ON DELETE CASCADE
);

COMMENT ON TABLE refresh_tokens IS 'The tokens of logins. A used one stays for a week, so that a second use is noticed.';
COMMENT ON COLUMN refresh_tokens.hash IS 'SHA-256 of the token, which has 256 random bits.';
COMMENT ON COLUMN refresh_tokens.login_id IS 'The login: all its tokens are one family.';
COMMENT ON COLUMN refresh_tokens.issued_at IS 'When it was handed out.';
COMMENT ON COLUMN refresh_tokens.used_at IS 'When it was first used.';
COMMENT ON COLUMN refresh_tokens.uses IS 'How often: more than once only within the grace.';

CREATE INDEX refresh_tokens_of_login ON refresh_tokens (login_id);
CREATE INDEX refresh_tokens_used ON refresh_tokens (used_at) WHERE used_at IS NOT NULL;

CREATE TABLE signing_keys (
    id text NOT NULL,
    created_at timestamptz NOT NULL,
    signs_from timestamptz NOT NULL,
    retired_at timestamptz,
    public bytea NOT NULL,
    secret bytea NOT NULL,
    CONSTRAINT signing_keys_pkey PRIMARY KEY (id)
);

COMMENT ON TABLE signing_keys IS 'Keys that sign access tokens (Ed25519). Removed when nothing they signed can be valid.';
COMMENT ON COLUMN signing_keys.id IS 'The key''s name, kid in tokens and key set.';
COMMENT ON COLUMN signing_keys.created_at IS 'When it was made; from then on it is published.';
COMMENT ON COLUMN signing_keys.signs_from IS 'From when it signs: the newest that may, does.';
COMMENT ON COLUMN signing_keys.retired_at IS 'When its successor began to sign; null for the last.';
COMMENT ON COLUMN signing_keys.public IS 'The public half, 32 bytes.';
COMMENT ON COLUMN signing_keys.secret IS 'The secret half, sealed with a key that the database does not have.';

CREATE TABLE api_keys (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    name text NOT NULL,
    hint text NOT NULL,
    hash bytea NOT NULL,
    scopes text[] NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT api_keys_hash_unique UNIQUE (hash)
);

COMMENT ON TABLE api_keys IS 'Keys with which merchants'' programs call. Never removed: audit entries name them.';
COMMENT ON COLUMN api_keys.id IS 'The key (UUIDv7).';
COMMENT ON COLUMN api_keys.account_id IS 'The merchant''s account.';
COMMENT ON COLUMN api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN api_keys.name IS 'What its owner calls it.';
COMMENT ON COLUMN api_keys.hint IS 'Its prefix and last four characters, to tell it from others.';
COMMENT ON COLUMN api_keys.hash IS 'SHA-256 of the key, which has 256 random bits.';
COMMENT ON COLUMN api_keys.scopes IS 'What it may be used for, as in orders:read.';
COMMENT ON COLUMN api_keys.last_used_at IS 'When it was last used, to the minute; null where it never was.';
COMMENT ON COLUMN api_keys.revoked_at IS 'Since when it is refused; null where it is not.';

CREATE INDEX api_keys_of_account ON api_keys (account_id, id);
