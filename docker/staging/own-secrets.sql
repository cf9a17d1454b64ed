-- Takes out of a copy what production's token key sealed, so that staging has a key of its own: nothing there opens what is
-- production's, and nobody who is signed in at production is so here. The same as in docs/how-to/rotate-keys.md.
DELETE FROM signing_keys;
DELETE FROM recovery_codes;
UPDATE accounts SET totp_secret = NULL, totp_confirmed_at = NULL;
UPDATE jobs SET state = 'dead', behind = false, payload = NULL, leased_until = NULL, ended_at = now(),
    kept_until = now() + interval '90 days', last_error = 'the secret was replaced'
WHERE kind IN ('email', 'text') AND state IN ('waiting', 'running');
UPDATE logins SET revoked_at = now(), revoked_because = 'secret_replaced' WHERE revoked_at IS NULL;
