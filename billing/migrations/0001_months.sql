-- Functions for tables that are partitioned by month: by RANGE of a version 7 UUID, whose first 48 bits are the
-- milliseconds since 1970. Months begin at midnight in UTC. A partition has a lower and an upper bound, but the first
-- has no lower bound, and the default partition, which takes ids of months without a partition, has neither.

CREATE FUNCTION months_first_id(p_month date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM p_month::timestamp) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

CREATE FUNCTION months_day_of(p_id uuid) RETURNS date LANGUAGE sql IMMUTABLE AS $$
    SELECT (timestamp '1970-01-01'
            + ('x' || lpad(left(replace(p_id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint * interval '1 ms')::date
$$;

CREATE FUNCTION months_of(p_table regclass, OUT part regclass, OUT since uuid, OUT until uuid)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
    SELECT child.oid::regclass,
           substring(bound FROM 'FROM \(''([0-9a-f-]{36})''\)')::uuid,
           substring(bound FROM 'TO \(''([0-9a-f-]{36})''\)')::uuid
      FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid,
           LATERAL pg_get_expr(child.relpartbound, child.oid) AS bound
     WHERE inhparent = p_table
$$;

-- Grant the same privileges on p_table as on p_like.
CREATE FUNCTION months_grant_as(p_table text, p_like text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT privilege_type, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS role
          FROM pg_class, aclexplode(relacl)
         WHERE oid = p_like::regclass AND grantee <> relowner
    LOOP
        EXECUTE format('GRANT %s ON %I TO %s', one.privilege_type, p_table, one.role);
    END LOOP;
END $$;

-- Turn a table into a partitioned one without copying rows: the table becomes the first partition, with p_bound as
-- its upper bound. The CHECK months_bound must have been validated before, so that no row is read under the lock.
-- The new parent has the table's name, triggers, grants, indexes and constraints, except those in p_without.
CREATE FUNCTION months_split(p_table text, p_key text, p_bound uuid, p_without text[] DEFAULT '{}')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    suffix text := 'until_' || to_char(months_day_of(p_bound), 'YYYY_MM');
    first_part text := p_table || '_' || suffix;
    found oid := p_table::regclass;
    options text := (SELECT ' WITH (' || array_to_string(reloptions, ', ') || ')' FROM pg_class
                      WHERE oid = p_table::regclass AND reloptions IS NOT NULL);
    indexes text[] := ARRAY(
        SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = found AND NOT EXISTS (
            SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u')) ORDER BY indexrelid);
    constraints text[] := ARRAY(
        SELECT format('ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
         WHERE conrelid = found AND contype IN ('p', 'u', 'f') AND conname <> ALL (p_without) ORDER BY oid);
    triggers text[] := ARRAY(
        SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = found AND NOT tgisinternal ORDER BY oid);
    name text;
    statement text;
BEGIN
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', p_table);
    FOR name IN SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = found LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', name, left(name, 49) || '_' || suffix);
    END LOOP;
    FOR name IN SELECT tgname FROM pg_trigger WHERE tgrelid = found AND NOT tgisinternal LOOP
        EXECUTE format('DROP TRIGGER %I ON %I', name, p_table);
    END LOOP;
    EXECUTE format('ALTER TABLE %I RENAME TO %I', p_table, first_part);
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (%I)',
                   p_table, first_part, p_key);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT months_bound', p_table);
    FOREACH statement IN ARRAY constraints LOOP
        EXECUTE format('ALTER TABLE %I ', p_table) || statement;
    END LOOP;
    FOREACH statement IN ARRAY indexes LOOP
        EXECUTE statement;
    END LOOP;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
                   p_table, first_part, p_bound);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT months_bound', first_part);
    EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', p_table || '_default', p_table) || coalesce(options, '');
    FOREACH statement IN ARRAY triggers LOOP
        EXECUTE statement;
    END LOOP;
    PERFORM months_grant_as(p_table, first_part);
    PERFORM months_grant_as(p_table || '_default', first_part);
END $$;

-- A line has the id of its debit, so both are in partitions of the same month. The foreign key is between these two
-- partitions, so that they can be dropped without reading the others.
CREATE FUNCTION months_tie_lines(p_suffix text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT debit_line_has_its_debit FOREIGN KEY (debit_id) REFERENCES %I (call_id)'
                   ' DEFERRABLE INITIALLY DEFERRED', 'billing_debitline_' || p_suffix, 'billing_debit_' || p_suffix);
END $$;

-- Create the partition of a month in each of these tables that lacks it, move its rows there from the default
-- partition, and return the number of partitions created. SECURITY DEFINER, because the application may not alter
-- tables. It waits for a lock for less than deadlock_timeout, so that PostgreSQL never cancels a customer's call as
-- the victim of a deadlock; the caller retries.
CREATE FUNCTION months_make(p_tables text[], p_month date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
    suffix text := to_char(p_month, 'YYYY_MM');
    first_id uuid := months_first_id(date_trunc('month', p_month::timestamp)::date);
    end_id uuid := months_first_id((date_trunc('month', p_month::timestamp) + interval '1 month')::date);
    missing text[] := '{}';
    options text;
    key text;
    name text;
BEGIN
    FOREACH name IN ARRAY p_tables LOOP
        IF NOT EXISTS (SELECT FROM months_of(months_known(name)) AS month
                        WHERE (month.since IS NULL OR month.since <= first_id)
                          AND month.until >= end_id) THEN
            missing := missing || name;
        END IF;
    END LOOP;
    FOREACH name IN ARRAY missing LOOP
        SELECT ' WITH (' || array_to_string(reloptions, ', ') || ')' INTO options FROM pg_class
         WHERE oid = (name || '_default')::regclass AND reloptions IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name || '_' || suffix, name)
                || coalesce(options, '');
        PERFORM months_grant_as(name || '_' || suffix, name);
    END LOOP;
    FOREACH name IN ARRAY missing LOOP
        key := months_key(name);
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', name || '_default');
        EXECUTE format('WITH moved AS (DELETE FROM %1$I WHERE %3$I >= %4$L AND %3$I < %5$L RETURNING *)'
                       ' INSERT INTO %2$I SELECT * FROM moved',
                       name || '_default', name || '_' || suffix, key, first_id, end_id);
    END LOOP;
    SET CONSTRAINTS ALL IMMEDIATE;
    SET CONSTRAINTS ALL DEFERRED;
    FOREACH name IN ARRAY missing LOOP
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       name, name || '_' || suffix, first_id, end_id);
    END LOOP;
    IF 'billing_debitline' = ANY (missing) THEN
        PERFORM months_tie_lines(suffix);
    END IF;
    RETURN cardinality(missing);
END $$;

-- Drop the partitions of these tables that end before a month begins, and return their names. Raises an exception
-- unless reconcile has proved every day since the first debit, and so has added the sums to billing_provedunits.
CREATE FUNCTION months_drop(p_tables text[], p_month date) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
    first_day date := (SELECT months_day_of(call_id) FROM billing_debit ORDER BY call_id LIMIT 1);
    open_day date;
    parts text[];
BEGIN
    SELECT min(day)::date INTO open_day FROM generate_series(first_day::timestamp, (p_month - 1)::timestamp, interval '1 day') AS day
     WHERE day::date NOT IN (SELECT proved.day FROM billing_provedday AS proved);
    IF open_day IS NOT NULL THEN
        RAISE EXCEPTION '% is not proved yet', open_day USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT coalesce(array_agg(month.part::text), '{}') INTO parts
      FROM unnest(p_tables) AS name, months_of(months_known(name)) AS month
     WHERE month.until <= months_first_id(p_month);
    IF parts <> '{}' THEN
        EXECUTE 'DROP TABLE ' || array_to_string(parts, ', ');
    END IF;
    RETURN parts;
END $$;

-- Return the column by which a table is partitioned.
CREATE FUNCTION months_key(p_table text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT attname::text FROM pg_partitioned_table JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
     WHERE partrelid = p_table::regclass
$$;

-- Return the table if it is partitioned by month; raise an exception otherwise, so that no other table is changed.
CREATE FUNCTION months_known(p_table text) RETURNS regclass LANGUAGE plpgsql STABLE AS $$
DECLARE
    found regclass;
BEGIN
    SELECT pg_class.oid::regclass INTO found
      FROM pg_class
      JOIN pg_partitioned_table ON partrelid = pg_class.oid AND partstrat = 'r' AND partnatts = 1
      JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0] AND atttypid = 'uuid'::regtype
     WHERE relname = p_table AND relnamespace = 'public'::regnamespace;
    IF found IS NULL THEN
        RAISE EXCEPTION '% is not partitioned by month', p_table USING ERRCODE = 'wrong_object_type';
    END IF;
    RETURN found;
END $$;

-- Collect planner statistics of partitioned tables as a whole: autovacuum analyzes only their partitions.
CREATE FUNCTION months_analyze(p_tables text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY p_tables LOOP
        EXECUTE format('ANALYZE %s', months_known(name));
    END LOOP;
END $$;

REVOKE EXECUTE ON FUNCTION months_make, months_drop, months_analyze FROM PUBLIC;
