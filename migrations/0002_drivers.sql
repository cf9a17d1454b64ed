-- Drivers, what happened to them, where they are and where they were.

CREATE TABLE drivers (
    id uuid NOT NULL,
    version bigint NOT NULL,
    previous_version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    shift_until timestamptz,
    capacity integer NOT NULL,
    name text NOT NULL,
    vehicle text NOT NULL,
    shift text NOT NULL,
    zones uuid[] NOT NULL,
    speeds text[] NOT NULL,
    CONSTRAINT drivers_pkey PRIMARY KEY (id),
    CONSTRAINT drivers_version_moves_on CHECK (version > previous_version AND previous_version >= 0),
    CONSTRAINT drivers_capacity_positive CHECK (capacity > 0),
    CONSTRAINT drivers_vehicle_known CHECK (vehicle IN ('foot', 'bicycle', 'motorbike', 'car', 'van')),
    CONSTRAINT drivers_shift_known CHECK (shift IN ('offline', 'available', 'on_break')),
    CONSTRAINT drivers_speeds_known CHECK (speeds <@ ARRAY['fast', 'slow']),
    CONSTRAINT drivers_no_end_without_shift CHECK (shift <> 'offline' OR shift_until IS NULL)
) WITH (fillfactor = 80);

COMMENT ON TABLE drivers IS 'Drivers as registered, and whether they are on shift. Written by the journal.';
COMMENT ON COLUMN drivers.id IS 'The driver (UUIDv7).';
COMMENT ON COLUMN drivers.version IS 'Counts the changes of this row: the seq of the newest event.';
COMMENT ON COLUMN drivers.previous_version IS 'The version that this row replaced; 0 for a new driver.';
COMMENT ON COLUMN drivers.created_at IS 'When he was registered, in product time.';
COMMENT ON COLUMN drivers.shift_until IS 'When he means to stop; null when he did not say or is offline.';
COMMENT ON COLUMN drivers.capacity IS 'How many units of size fit at once.';
COMMENT ON COLUMN drivers.name IS 'The name customers see.';
COMMENT ON COLUMN drivers.vehicle IS 'foot, bicycle, motorbike, car or van.';
COMMENT ON COLUMN drivers.shift IS 'offline, available or on_break.';
COMMENT ON COLUMN drivers.zones IS 'The zones he serves.';
COMMENT ON COLUMN drivers.speeds IS 'The speeds he serves: fast, slow.';

CREATE INDEX drivers_on_shift ON drivers (id) WHERE shift <> 'offline';
CREATE INDEX drivers_of_zones ON drivers USING gin (zones);

CREATE TABLE driver_events (
    driver_id uuid NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    by text NOT NULL,
    name text NOT NULL,
    correlation_id text,
    payload json NOT NULL,
    CONSTRAINT driver_events_pkey PRIMARY KEY (driver_id, seq),
    CONSTRAINT driver_events_seq_positive CHECK (seq > 0)
);

COMMENT ON TABLE driver_events IS 'What happened to a driver: registration, profile, shifts.';
COMMENT ON COLUMN driver_events.driver_id IS 'The driver.';
COMMENT ON COLUMN driver_events.seq IS '1 for the first event of the driver, without gaps.';
COMMENT ON COLUMN driver_events.at IS 'When, in product time.';
COMMENT ON COLUMN driver_events.by IS 'Who: system, or the id of an admin or driver on the wire.';
COMMENT ON COLUMN driver_events.name IS 'The event''s name.';
COMMENT ON COLUMN driver_events.correlation_id IS 'The request or message that caused it, as in the logs.';
COMMENT ON COLUMN driver_events.payload IS 'The event as JSON.';

CREATE TABLE driver_positions (
    driver_id uuid NOT NULL,
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    lat double precision NOT NULL,
    lng double precision NOT NULL,
    heading real,
    speed real,
    CONSTRAINT driver_positions_pkey PRIMARY KEY (driver_id),
    CONSTRAINT driver_positions_on_the_globe CHECK (lat BETWEEN -90 AND 90 AND lng BETWEEN -180 AND 180)
) WITH (fillfactor = 50);

COMMENT ON TABLE driver_positions IS 'The newest position of each driver, saved every few seconds in one statement.';
COMMENT ON COLUMN driver_positions.driver_id IS 'The driver.';
COMMENT ON COLUMN driver_positions.at IS 'The device''s own time. The newer one wins.';
COMMENT ON COLUMN driver_positions.received_at IS 'When the server received it, in product time.';
COMMENT ON COLUMN driver_positions.lat IS 'Latitude in degrees (WGS 84).';
COMMENT ON COLUMN driver_positions.lng IS 'Longitude in degrees (WGS 84).';
COMMENT ON COLUMN driver_positions.heading IS 'Direction of movement in degrees from north.';
COMMENT ON COLUMN driver_positions.speed IS 'Metres per second.';

CREATE TABLE tracks (
    driver_id uuid NOT NULL,
    at timestamptz NOT NULL,
    lat double precision NOT NULL,
    lng double precision NOT NULL,
    heading real,
    speed real,
    CONSTRAINT tracks_pkey PRIMARY KEY (driver_id, at)
) PARTITION BY RANGE (at);

CREATE TABLE tracks_odd PARTITION OF tracks DEFAULT;

COMMENT ON TABLE tracks IS 'Where drivers were, thinned. One partition for each day (UTC), dropped when older than the retention.';
COMMENT ON COLUMN tracks.driver_id IS 'The driver.';
COMMENT ON COLUMN tracks.at IS 'The device''s own time: with the driver the key, so that a batch sent twice is stored once.';
COMMENT ON COLUMN tracks.lat IS 'Latitude in degrees (WGS 84).';
COMMENT ON COLUMN tracks.lng IS 'Longitude in degrees (WGS 84).';
COMMENT ON COLUMN tracks.heading IS 'Direction of movement in degrees from north.';
COMMENT ON COLUMN tracks.speed IS 'Metres per second.';
COMMENT ON TABLE tracks_odd IS 'Positions of days that have no partition: a device whose clock is wrong, a replayed day.';

-- The partition of one day, made unless it exists. Rows of that day that waited in tracks_odd move into it.
CREATE FUNCTION tracks_make_day(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    partition text := 'tracks_' || to_char(day, 'YYYYMMDD');
    day_start timestamptz := day::timestamp AT TIME ZONE 'UTC';
    day_end timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    -- Two servers that start at once take turns.
    PERFORM pg_advisory_xact_lock(hashtext('tracks_make_day'));
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE tracks INCLUDING ALL)', partition);
    EXECUTE format(
        'WITH moved AS (DELETE FROM tracks_odd WHERE at >= %L AND at < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
        day_start, day_end, partition);
    EXECUTE format('ALTER TABLE tracks ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition, day_start, day_end);
    RETURN true;
END;
$$;

COMMENT ON FUNCTION tracks_make_day(date) IS 'Makes the partition of a day unless it exists; true when it did.';

-- Drops every day that ended before `oldest`, and the odd rows before it. Returns how many days were dropped.
CREATE FUNCTION tracks_drop_days_before(oldest date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    partition text;
    dropped bigint := 0;
BEGIN
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'tracks'::regclass
            AND c.relname ~ '^tracks_[0-9]{8}$'
            AND to_date(right(c.relname, 8), 'YYYYMMDD') < oldest
    LOOP
        EXECUTE format('DROP TABLE %I', partition);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM tracks_odd WHERE at < oldest::timestamp AT TIME ZONE 'UTC';
    RETURN dropped;
END;
$$;

COMMENT ON FUNCTION tracks_drop_days_before(date) IS 'Drops the partitions of days before a day; says how many.';
