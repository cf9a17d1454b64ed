-- Keys of the test world. The world itself has the same tables as the live one, in a schema of its own; accounts and
-- keys are in the live one's alone.

ALTER TABLE api_keys
    ADD COLUMN world text NOT NULL DEFAULT 'live',
    ADD CONSTRAINT api_keys_world_known CHECK (world IN ('live', 'test'));

COMMENT ON COLUMN api_keys.world IS 'Which orders the key is for: live ones, or those of the test world.';

-- Asked at each start: whether anybody uses the test world.
CREATE INDEX api_keys_of_test_world ON api_keys (id) WHERE world = 'test' AND revoked_at IS NULL;
-- Asked twice a second: which keys are not good any more, for the sockets that they opened.
CREATE INDEX api_keys_revoked ON api_keys (revoked_at) WHERE revoked_at IS NOT NULL;
