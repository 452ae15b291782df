-- Calls, partitioned by month, as debits are (billing/migrations/0001_debits_by_month.sql).
DO $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    bound uuid := months_first_id((this_month + interval '1 month')::date);
BEGIN
    EXECUTE format('ALTER TABLE faceapi_call ADD CONSTRAINT months_bound CHECK (id < %L)', bound);
    PERFORM months_split('faceapi_call', 'id', bound);
    FOR ahead IN 1 .. 3 LOOP
        PERFORM months_make('{faceapi_call}', (this_month + ahead * interval '1 month')::date);
    END LOOP;
END $$;
