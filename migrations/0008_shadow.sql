-- What a policy in the shadow would have done, beside what was done.

CREATE TABLE shadow_plans (
    id bigint GENERATED ALWAYS AS IDENTITY,
    order_id uuid NOT NULL,
    zone_id uuid NOT NULL,
    at timestamptz NOT NULL,
    policy text NOT NULL,
    decided boolean NOT NULL,
    driver_id uuid,
    offer_at timestamptz,
    pickup_at timestamptz,
    dropoff_at timestamptz,
    summary text NOT NULL,
    detail json NOT NULL,
    CONSTRAINT shadow_plans_pkey PRIMARY KEY (id),
    CONSTRAINT shadow_plans_policy_known CHECK (policy IN ('least_busy', 'routed')),
    CONSTRAINT shadow_plans_times_with_driver CHECK (
        (driver_id IS NULL) = (pickup_at IS NULL)
        AND (driver_id IS NULL) = (dropoff_at IS NULL)
        AND (driver_id IS NULL) = (offer_at IS NULL))
);

COMMENT ON TABLE shadow_plans IS 'Zones with a policy in the shadow: what each of the two policies planned for an order, on the same input.';
COMMENT ON COLUMN shadow_plans.id IS 'Counts plans in the order they were written.';
COMMENT ON COLUMN shadow_plans.order_id IS 'The order it was about.';
COMMENT ON COLUMN shadow_plans.zone_id IS 'The zone whose dispatcher planned.';
COMMENT ON COLUMN shadow_plans.at IS 'The instant of the input, in product time.';
COMMENT ON COLUMN shadow_plans.policy IS 'The policy that planned.';
COMMENT ON COLUMN shadow_plans.decided IS 'True for the policy that decides: the driver was asked. False for the one in the shadow.';
COMMENT ON COLUMN shadow_plans.driver_id IS 'The driver who was meant; null when the policy in the shadow found nobody.';
COMMENT ON COLUMN shadow_plans.offer_at IS 'When he was to be asked.';
COMMENT ON COLUMN shadow_plans.pickup_at IS 'When he was to pick it up.';
COMMENT ON COLUMN shadow_plans.dropoff_at IS 'When he was to hand it over.';
COMMENT ON COLUMN shadow_plans.summary IS 'Why, in one sentence.';
COMMENT ON COLUMN shadow_plans.detail IS 'Why, in full: the same shape as the detail of a decision.';

CREATE INDEX shadow_plans_of_zone ON shadow_plans (zone_id, at, id);
CREATE INDEX shadow_plans_by_time ON shadow_plans USING brin (at);
