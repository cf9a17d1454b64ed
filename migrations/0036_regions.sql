-- Regions: groups of zones that share drivers. What is there already, and what is made without a word about it, is of the
-- first one, whose id is nil.

ALTER TABLE zones ADD COLUMN region_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
COMMENT ON COLUMN zones.region_id IS 'The region: zones of one region share drivers, and one live system runs all of them. Nil for the first region.';

ALTER TABLE drivers ADD COLUMN region_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
COMMENT ON COLUMN drivers.region_id IS 'The region of all zones that the driver serves. Nil for the first region.';
