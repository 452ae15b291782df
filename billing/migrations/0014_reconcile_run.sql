CREATE TRIGGER unchanged BEFORE UPDATE ON billing_reconcilerun FOR EACH ROW
    EXECUTE FUNCTION billing_refuse('the result of a reconcile run stays so');
