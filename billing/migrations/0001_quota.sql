-- Return the units that a call with this number of images and pairs costs under a meter.
CREATE FUNCTION billing_cost(meter text, images integer, pairs integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE meter WHEN 'images' THEN images WHEN 'calls' THEN 1 WHEN 'pairs' THEN pairs END;

-- Take all units of one call from the live Periods of an App's API, or none.
--
-- Burn order: earliest end, then oldest. A call is paid under one meter: Periods of different meters (which
-- exist if the catalogue was changed between two orders) are never combined for one call. Locks: Periods in
-- burn order, then the new Debit. `p_relaxed`: the commit does not wait for the disk. This is safe, because the
-- charge depends on a later settle and the WAL is sequential: a durable settle implies a durable reserve.
--
-- `p_quick`: try only the first Period. If it cannot pay for the whole call, the outcome is `again`, and the
-- caller retries in a new transaction without `p_quick`. A new one, because an UPDATE that waited and then did
-- not match keeps its row locked, and waiting for an earlier Period with that lock held could deadlock.
CREATE FUNCTION billing_reserve(
    p_call uuid, p_app bigint, p_api text, p_images integer, p_pairs integer,
    p_at timestamptz, p_until timestamptz, p_relaxed boolean, p_quick boolean DEFAULT false,
    OUT outcome text, OUT app bigint, OUT api_name text, OUT units integer, OUT state text,
    OUT remaining bigint, OUT created_at timestamptz, OUT hold_expires_at timestamptz,
    OUT closed_at timestamptz, OUT moment timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    period record;
    meters text[];   -- of the Periods with units left, in burn order
    ids bigint[];    -- those Periods, locked
    meter_of text[];
    free integer[];
    pays text;
    owed bigint;
    part integer;
    from_ids bigint[];
    from_units integer[];
BEGIN
    IF p_relaxed THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;

    -- If the same call is being reserved twice at once, the second finds the Debit of the first here: either in
    -- the first pass, or in the second, after its own INSERT conflicted or it found no units left.
    FOR attempt IN 1 .. 2 LOOP
        SELECT 'held', d.app_id, d.api, d.units, d.state, d.remaining_after, d.created_at, d.hold_expires_at,
               d.closed_at
          INTO outcome, app, api_name, units, state, remaining, created_at, hold_expires_at, closed_at
          FROM billing_debit d WHERE d.call_id = p_call;
        IF FOUND THEN
            RETURN;
        END IF;
        EXIT WHEN attempt = 2;
        from_ids := '{}';
        from_units := '{}';

        -- The common case: the first Period with units left pays for the whole call, in one conditional UPDATE.
        IF p_quick THEN
            SELECT p.id, billing_cost(p.meter, p_images, p_pairs) AS cost INTO period FROM billing_period p
             WHERE p.app_id = p_app AND p.api = p_api AND p.ends_at > p_at AND p.starts_at <= p_at
               AND p.used < p.granted
             ORDER BY p.ends_at, p.package_id LIMIT 1;
            IF FOUND THEN
                UPDATE billing_period SET used = used + period.cost
                 WHERE id = period.id AND granted - used >= period.cost;
                IF NOT FOUND THEN
                    outcome := 'again';
                    RETURN;
                END IF;
                from_ids := ARRAY[period.id];
                from_units := ARRAY[period.cost];
                units := period.cost;
            END IF;
        ELSE
            -- Lock the Periods with units left in burn order, then take all units from one or several, or none.
            ids := '{}';
            meter_of := '{}';
            free := '{}';
            meters := '{}';
            FOR period IN
                SELECT p.id, p.meter, p.granted - p.used AS free FROM billing_period p
                 WHERE p.app_id = p_app AND p.api = p_api AND p.ends_at > p_at AND p.starts_at <= p_at
                   AND p.used < p.granted
                 ORDER BY p.ends_at, p.package_id FOR NO KEY UPDATE
            LOOP
                ids := ids || period.id;
                meter_of := meter_of || period.meter::text;
                free := free || period.free;
                IF NOT period.meter = ANY (meters) THEN
                    meters := meters || period.meter::text;
                END IF;
            END LOOP;
            FOREACH pays IN ARRAY meters LOOP
                units := billing_cost(pays, p_images, p_pairs);
                SELECT sum(t.free) INTO owed FROM unnest(free, meter_of) AS t (free, meter) WHERE t.meter = pays;
                CONTINUE WHEN owed < units;
                owed := units;
                FOR i IN 1 .. cardinality(ids) LOOP
                    CONTINUE WHEN meter_of[i] <> pays;
                    part := least(owed, free[i]);
                    UPDATE billing_period SET used = used + part WHERE id = ids[i];
                    from_ids := from_ids || ids[i];
                    from_units := from_units || part;
                    owed := owed - part;
                    EXIT WHEN owed = 0;
                END LOOP;
                EXIT;
            END LOOP;
        END IF;

        CONTINUE WHEN from_ids = '{}';

        SELECT sum(p.granted - p.used) INTO remaining FROM billing_period p
         WHERE p.app_id = p_app AND p.api = p_api AND p.ends_at > p_at AND p.starts_at <= p_at;
        INSERT INTO billing_debit (call_id, app_id, api, units, state, remaining_after, created_at, hold_expires_at)
        VALUES (p_call, p_app, p_api, units, 'held', remaining, p_at, p_until)
        ON CONFLICT (call_id) DO NOTHING;
        IF FOUND THEN
            INSERT INTO billing_debitline (debit_id, period_id, units)
            SELECT p_call, t.period_id, t.units FROM unnest(from_ids, from_units) AS t (period_id, units);
            outcome := 'held';
            app := p_app;
            api_name := p_api;
            state := 'held';
            created_at := p_at;
            hold_expires_at := p_until;
            RETURN;
        END IF;
        FOR i IN 1 .. cardinality(from_ids) LOOP
            UPDATE billing_period SET used = used - from_units[i] WHERE id = from_ids[i];
        END LOOP;
    END LOOP;

    SELECT coalesce(sum(p.granted - p.used), 0) INTO remaining FROM billing_period p
     WHERE p.app_id = p_app AND p.api = p_api AND p.ends_at > p_at AND p.starts_at <= p_at;
    SELECT max(k.ends_at) INTO moment FROM billing_package k
     WHERE k.app_id = p_app AND k.api = p_api AND k.refunded_at IS NULL;
    IF moment IS NULL THEN
        outcome := 'not_ordered';
    ELSIF moment <= p_at THEN
        outcome := 'expired';
    ELSE
        outcome := 'used_up';
        SELECT min(p.starts_at) INTO moment FROM billing_period p
         WHERE p.app_id = p_app AND p.api = p_api AND p.starts_at > p_at AND p.granted > 0;
    END IF;
END $$;

-- Return the units of a Debit to the Periods that they came from, and their number (0 if it was not open).
-- p_up_to: 'held' returns held units only; 'settling' also those of a call that was settled but not confirmed.
-- Locks: the Debit, then its Periods in burn order.
CREATE FUNCTION billing_give_back(
    p_call uuid, p_at timestamptz, p_relaxed boolean, p_up_to text DEFAULT 'held'
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    back integer;
    line record;
BEGIN
    IF p_relaxed THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    UPDATE billing_debit SET state = 'returned', closed_at = p_at
     WHERE call_id = p_call AND (state = 'held' OR state = 'settling' AND p_up_to = 'settling')
    RETURNING units INTO back;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    FOR line IN
        SELECT l.period_id, l.units FROM billing_debitline l JOIN billing_period p ON p.id = l.period_id
         WHERE l.debit_id = p_call ORDER BY p.ends_at, p.package_id
    LOOP
        UPDATE billing_period SET used = used - line.units WHERE id = line.period_id;
    END LOOP;
    RETURN back;
END $$;
