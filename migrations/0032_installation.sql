-- Which database is the real one. A copy brings this row along, and what it says does not fit the copy: it then acts
-- towards nobody outside until somebody says that it is the real one.

CREATE TABLE installation (
    single boolean NOT NULL DEFAULT true,
    system_identifier bigint,
    database_oid bigint NOT NULL,
    table_oid bigint NOT NULL,
    directory jsonb,
    since timestamptz NOT NULL,
    CONSTRAINT installation_pkey PRIMARY KEY (single),
    CONSTRAINT installation_single CHECK (single)
);

COMMENT ON TABLE installation IS 'Where the real database is. One row; none until a server has led the database.';
COMMENT ON COLUMN installation.single IS 'There is one row.';
COMMENT ON COLUMN installation.system_identifier IS 'The cluster, as initdb named it; null where the account may not read it. Standbys share it.';
COMMENT ON COLUMN installation.database_oid IS 'The database within the cluster.';
COMMENT ON COLUMN installation.table_oid IS 'This table within the database: another after every restore, also into the same database.';
COMMENT ON COLUMN installation.directory IS 'Of a private Postgres: path of its directory, number and birth of its files, a digest of the machine''s id; null otherwise.';
COMMENT ON COLUMN installation.since IS 'Since when it is the real one, by the clock of Postgres.';

-- Asked by who looks whether an installation is whole: whether there is an admin.
CREATE INDEX accounts_admins ON accounts (id) WHERE role = 'admin' AND banned_at IS NULL;
