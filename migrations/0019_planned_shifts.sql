-- Shifts that drivers are planned to work: the roster.

CREATE TABLE planned_shifts (
    id uuid NOT NULL,
    driver_id uuid NOT NULL,
    during tstzrange NOT NULL,
    lat double precision,
    lng double precision,
    created_at timestamptz NOT NULL,
    CONSTRAINT planned_shifts_pkey PRIMARY KEY (id),
    CONSTRAINT planned_shifts_driver FOREIGN KEY (driver_id) REFERENCES drivers (id),
    CONSTRAINT planned_shifts_bounded CHECK (
        NOT isempty(during) AND lower(during) IS NOT NULL AND upper(during) IS NOT NULL
    ),
    CONSTRAINT planned_shifts_place_whole CHECK ((lat IS NULL) = (lng IS NULL)),
    CONSTRAINT planned_shifts_on_the_globe CHECK (lat BETWEEN -90 AND 90 AND lng BETWEEN -180 AND 180),
    CONSTRAINT planned_shifts_no_overlap EXCLUDE USING gist (driver_id WITH =, during WITH &&)
);

COMMENT ON TABLE planned_shifts IS 'The roster: when drivers are planned to work. Kept for 30 days after its end.';
COMMENT ON COLUMN planned_shifts.id IS 'The planned shift (UUIDv7).';
COMMENT ON COLUMN planned_shifts.driver_id IS 'Whose it is.';
COMMENT ON COLUMN planned_shifts.during IS 'From its start to its end, in product time, without the end.';
COMMENT ON COLUMN planned_shifts.lat IS 'Latitude in degrees (WGS 84) of where he starts; null where nobody said.';
COMMENT ON COLUMN planned_shifts.lng IS 'Longitude in degrees (WGS 84) of where he starts; null where nobody said.';
COMMENT ON COLUMN planned_shifts.created_at IS 'When it was planned, in product time.';

CREATE INDEX planned_shifts_by_end ON planned_shifts (upper(during));
CREATE INDEX planned_shifts_of_driver ON planned_shifts (driver_id, upper(during));
