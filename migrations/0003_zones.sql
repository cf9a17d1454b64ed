-- Zones: named service areas and the numbers dispatch in them is run by.

CREATE TABLE zones (
    id uuid NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz,
    name text NOT NULL,
    area jsonb NOT NULL,
    rules jsonb NOT NULL,
    travel jsonb NOT NULL,
    CONSTRAINT zones_pkey PRIMARY KEY (id),
    CONSTRAINT zones_version_positive CHECK (version > 0)
);

COMMENT ON TABLE zones IS 'Service areas. A removed zone keeps its row: orders of the past name it.';
COMMENT ON COLUMN zones.id IS 'The zone (UUIDv7).';
COMMENT ON COLUMN zones.version IS 'Counts its changes, from 1.';
COMMENT ON COLUMN zones.created_at IS 'When it was made, in product time.';
COMMENT ON COLUMN zones.deleted_at IS 'When it was removed; null while it is served.';
COMMENT ON COLUMN zones.name IS 'Its name, unique among the zones that are served.';
COMMENT ON COLUMN zones.area IS 'A GeoJSON Polygon or MultiPolygon (longitude first).';
COMMENT ON COLUMN zones.rules IS 'Dispatch rules, as the domain''s ZoneRules reads and writes them.';
COMMENT ON COLUMN zones.travel IS 'How travel times are estimated.';

CREATE UNIQUE INDEX zones_name_unique ON zones (name) WHERE deleted_at IS NULL;
CREATE INDEX zones_served ON zones (id) WHERE deleted_at IS NULL;
