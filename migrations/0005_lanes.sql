-- Orders of planned routes share their driver's time. An order that has a driver's time alone covers all lanes; one that
-- shares it rides in one. So the constraint goes on refusing what must not overlap, and lets the others.
ALTER TABLE commitments ADD COLUMN lanes int4range NOT NULL DEFAULT '[0,)';
COMMENT ON COLUMN commitments.lanes IS
    'All lanes for an order that has its driver''s time alone, one lane for an order that shares it.';

ALTER TABLE commitments DROP CONSTRAINT commitments_no_overlap;
ALTER TABLE commitments ADD CONSTRAINT commitments_no_overlap
    EXCLUDE USING gist (driver_id WITH =, lanes WITH &&, during WITH &&) WHERE (active);

COMMENT ON TABLE commitments IS 'Time of a driver that an assigned order holds. No two active ones of a driver and a lane overlap; touching ends do not.';
