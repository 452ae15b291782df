-- Returns the units of a Debit to the Periods that they came from; how many, 0 if there were none to return.
-- p_up_to: 'held' returns held units only, 'settling' also those whose answer was not confirmed.
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

DROP TRIGGER final_state ON billing_debit;
CREATE TRIGGER final_state BEFORE UPDATE ON billing_debit FOR EACH ROW
    WHEN (OLD.state NOT IN ('held', 'settling') OR OLD.state = 'settling' AND NEW.state = 'held')
    EXECUTE FUNCTION billing_refuse('a settled or returned debit stays so');
