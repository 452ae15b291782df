-- Partition debits and their lines by month. The tables are still empty; their first partition ends with this month.

-- Take the ids of lines from a sequence: before PostgreSQL 17, partitioned tables cannot have identity columns.
ALTER TABLE billing_debitline ALTER id DROP IDENTITY;
CREATE SEQUENCE billing_debitline_id_seq;
ALTER TABLE billing_debitline ALTER id SET DEFAULT nextval('billing_debitline_id_seq');
-- A unique key of a partitioned table must contain the partition key; (debit_id, period_id) identifies a line.
ALTER TABLE billing_debitline DROP CONSTRAINT billing_debitline_pkey;

DO $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    bound uuid := months_first_id((this_month + interval '1 month')::date);
    to_debit text[] := ARRAY(
        SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = 'billing_debitline'::regclass
           AND confrelid = 'billing_debit'::regclass);
BEGIN
    EXECUTE format('ALTER TABLE billing_debit ADD CONSTRAINT months_bound CHECK (call_id < %L)', bound);
    EXECUTE format('ALTER TABLE billing_debitline ADD CONSTRAINT months_bound CHECK (debit_id < %L)', bound);
    PERFORM months_split('billing_debit', 'call_id', bound);
    PERFORM months_split('billing_debitline', 'debit_id', bound, to_debit);
    PERFORM months_tie_lines('default');
    FOR ahead IN 1 .. 3 LOOP
        PERFORM months_make('{billing_debit,billing_debitline}', (this_month + ahead * interval '1 month')::date);
    END LOOP;
END $$;

ALTER SEQUENCE billing_debitline_id_seq OWNED BY billing_debitline.id;
