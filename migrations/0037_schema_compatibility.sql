-- Which programs can run with these tables. A release that only adds says that the release before can go on beside it; one that
-- takes something away says that it cannot.

CREATE TABLE schema_compatibility (
    single boolean NOT NULL DEFAULT true,
    runs_with bigint NOT NULL,
    CONSTRAINT schema_compatibility_pkey PRIMARY KEY (single),
    CONSTRAINT schema_compatibility_single CHECK (single)
);

COMMENT ON TABLE schema_compatibility IS 'Which programs can run with these tables. One row, changed by migrations alone.';
COMMENT ON COLUMN schema_compatibility.single IS 'There is one row.';
COMMENT ON COLUMN schema_compatibility.runs_with IS 'The newest migration that a program must know to run with these tables, also where newer ones were applied that it does not know.';

INSERT INTO schema_compatibility (runs_with) VALUES (37);
