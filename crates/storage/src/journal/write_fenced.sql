-- `write.sql` with a fence, for nodes: a test holds the two together. What is written under an epoch that is over is refused.
--
-- One batch of the journal, whole or not at all. Every array is one column; arrays of one group are equally long.
-- Existing rows are reached through ON CONFLICT and so always through the key, whatever the planner believes about
-- the table's size. A row is replaced only when it stands at the version that the new one names.
WITH held AS MATERIALIZED (
    -- FOR SHARE, neither a plain read nor FOR KEY SHARE: only this waits for a claim under way, and then looks again; and a
    -- claim waits for it. `nodes::fence_tests` shows what the others let through.
    SELECT l.region_id FROM region_leases l WHERE l.region_id = $67 AND l.epoch = $68 FOR SHARE OF l
), order_rows AS (
    INSERT INTO orders AS o (
        id, version, previous_version, merchant_id, zone_id, customer_id, driver_id, offered_driver_id,
        placed_at, promised_at, settled_at, status, speed, reference, state
    )
    SELECT u.id, u.version, u.previous, u.merchant, u.zone, u.customer, u.driver, u.offered,
        u.placed, u.promised, u.settled, u.status, u.speed, u.reference, u.state::json
    FROM unnest(
        $1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::uuid[],
        $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::text[], $13::text[], $14::text[], $15::text[]
    ) AS u (id, version, previous, merchant, zone, customer, driver, offered,
        placed, promised, settled, status, speed, reference, state)
    ON CONFLICT ON CONSTRAINT orders_pkey DO UPDATE SET
        version = excluded.version,
        previous_version = excluded.previous_version,
        zone_id = excluded.zone_id,
        driver_id = excluded.driver_id,
        offered_driver_id = excluded.offered_driver_id,
        promised_at = excluded.promised_at,
        settled_at = excluded.settled_at,
        status = excluded.status,
        state = excluded.state
    WHERE o.version = excluded.previous_version
    RETURNING o.id, (o.xmax = 0) = (o.previous_version = 0) AS as_expected
), sellers AS (
    INSERT INTO order_sellers (order_id, merchant_id, placed_at)
    SELECT * FROM unnest($16::uuid[], $17::uuid[], $18::timestamptz[])
    ON CONFLICT DO NOTHING
), order_history AS (
    INSERT INTO order_events (order_id, seq, at, by, name, status, correlation_id, payload)
    SELECT u.id, u.seq, u.at, u.party, u.name, u.status, u.correlation, u.payload::json
    FROM unnest(
        $19::uuid[], $20::bigint[], $21::timestamptz[], $22::text[], $23::text[], $24::text[], $25::text[], $26::text[]
    ) AS u (id, seq, at, party, name, status, correlation, payload)
), feed AS (
    -- Who has to hear of orders reads them here, in the order of the numbers.
    INSERT INTO order_feed (number, order_id, seq, name, status, merchants, at)
    SELECT u.number, u.id, u.seq, u.name, u.status, u.merchants::uuid[], u.at
    FROM unnest(
        $64::bigint[], $19::uuid[], $20::bigint[], $23::text[], $24::text[], $65::text[], $21::timestamptz[]
    ) AS u (number, id, seq, name, status, merchants, at)
), driver_rows AS (
    INSERT INTO drivers AS d (
        id, version, previous_version, created_at, shift_until, capacity, name, vehicle, shift, zones, speeds,
        next_task, region_id
    )
    SELECT u.id, u.version, u.previous, u.created, u.shift_until, u.capacity, u.name, u.vehicle, u.shift,
        u.zones::uuid[], u.speeds::text[], u.next_task, u.region
    FROM unnest(
        $27::uuid[], $28::bigint[], $29::bigint[], $30::timestamptz[], $31::timestamptz[], $32::integer[],
        $33::text[], $34::text[], $35::text[], $36::text[], $37::text[], $63::uuid[], $66::uuid[]
    ) AS u (id, version, previous, created, shift_until, capacity, name, vehicle, shift, zones, speeds, next_task,
        region)
    ON CONFLICT ON CONSTRAINT drivers_pkey DO UPDATE SET
        version = excluded.version,
        previous_version = excluded.previous_version,
        shift_until = excluded.shift_until,
        capacity = excluded.capacity,
        name = excluded.name,
        vehicle = excluded.vehicle,
        shift = excluded.shift,
        zones = excluded.zones,
        speeds = excluded.speeds,
        next_task = excluded.next_task,
        region_id = excluded.region_id
    WHERE d.version = excluded.previous_version
    RETURNING d.id, (d.xmax = 0) = (d.previous_version = 0) AS as_expected
), driver_history AS (
    INSERT INTO driver_events (driver_id, seq, at, by, name, correlation_id, payload)
    SELECT u.id, u.seq, u.at, u.party, u.name, u.correlation, u.payload::json
    FROM unnest(
        $38::uuid[], $39::bigint[], $40::timestamptz[], $41::text[], $42::text[], $43::text[], $44::text[]
    ) AS u (id, seq, at, party, name, correlation, payload)
), released AS (
    UPDATE commitments c SET active = false
    FROM unnest($45::uuid[]) AS u (order_id)
    WHERE c.order_id = u.order_id AND c.active
    RETURNING c.order_id
), taken AS (
    INSERT INTO commitments (order_id, version, driver_id, during, lanes)
    SELECT u.order_id, u.version, u.driver, tstzrange(u.starts, u.ends), int4range(coalesce(u.lane, 0), u.lane + 1)
    FROM unnest($46::uuid[], $47::bigint[], $48::uuid[], $49::timestamptz[], $50::timestamptz[], $62::integer[])
        AS u (order_id, version, driver, starts, ends, lane)
    -- Always true; makes every release happen before the first take.
    WHERE (SELECT count(*) FROM released) >= 0
    ON CONFLICT DO NOTHING
    RETURNING order_id
), made_decisions AS (
    INSERT INTO decisions (order_id, driver_id, at, summary, detail)
    SELECT u.order_id, u.driver, u.at, u.summary, u.detail::json
    FROM unnest($51::uuid[], $52::uuid[], $53::timestamptz[], $54::text[], $55::text[])
        AS u (order_id, driver, at, summary, detail)
), kept_keys AS (
    INSERT INTO idempotency_keys (principal, key, created_at, status, fingerprint, response)
    SELECT * FROM unnest($56::text[], $57::text[], $58::timestamptz[], $59::smallint[], $60::bytea[], $61::text[])
    ON CONFLICT ON CONSTRAINT idempotency_keys_pkey DO NOTHING
    RETURNING principal, key
)
SELECT CASE
    WHEN NOT EXISTS (SELECT FROM held) THEN journal_not_owner($67, $68)
    WHEN (SELECT count(*) FROM order_rows WHERE as_expected) = cardinality($1::uuid[])
        AND (SELECT count(*) FROM driver_rows WHERE as_expected) = cardinality($27::uuid[])
        AND (SELECT count(*) FROM taken) = cardinality($46::uuid[])
        AND (SELECT count(*) FROM kept_keys) = cardinality($56::text[])
    THEN true
    ELSE journal_refuse(
        (SELECT array_agg(u.n) FROM unnest($1::uuid[]) WITH ORDINALITY AS u (id, n)
            WHERE u.id NOT IN (SELECT id FROM order_rows WHERE as_expected)),
        (SELECT array_agg(u.n) FROM unnest($27::uuid[]) WITH ORDINALITY AS u (id, n)
            WHERE u.id NOT IN (SELECT id FROM driver_rows WHERE as_expected)),
        (SELECT array_agg(u.n) FROM unnest($46::uuid[]) WITH ORDINALITY AS u (id, n)
            WHERE u.id NOT IN (SELECT order_id FROM taken)),
        (SELECT array_agg(u.n) FROM (
            SELECT n, row_number() OVER (PARTITION BY principal, key ORDER BY n) AS nth, principal, key
            FROM unnest($56::text[], $57::text[]) WITH ORDINALITY AS k (principal, key, n)) AS u
            WHERE u.nth > 1 OR (u.principal, u.key) NOT IN (SELECT principal, key FROM kept_keys))
    )
END AS "written!"
