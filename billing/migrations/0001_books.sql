-- History is append-only.
CREATE FUNCTION billing_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON billing_walletentry
    FOR EACH ROW EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON billing_voucherentry
    FOR EACH ROW EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON billing_cataloguechange
    FOR EACH ROW EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON billing_walletentry
    FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON billing_voucherentry
    FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON billing_cataloguechange
    FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only();

-- Ownership: an order's App, wallet entries and Package belong to the same customer and App, and a Period has
-- the App and API of its Package. Composite foreign keys keep the copied columns equal.
ALTER TABLE accounts_app ADD CONSTRAINT app_with_customer UNIQUE (id, customer_id);
ALTER TABLE billing_order
    ADD CONSTRAINT order_with_customer UNIQUE (id, customer_id),
    ADD CONSTRAINT order_with_app UNIQUE (id, app_id),
    ADD CONSTRAINT order_app_is_the_customers FOREIGN KEY (app_id, customer_id)
        REFERENCES accounts_app (id, customer_id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE billing_walletentry
    ADD CONSTRAINT wallet_entry_order_is_the_customers FOREIGN KEY (order_id, wallet_id)
        REFERENCES billing_order (id, customer_id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE billing_package
    ADD CONSTRAINT package_with_app_and_api UNIQUE (id, app_id, api),
    ADD CONSTRAINT package_app_is_the_orders FOREIGN KEY (order_id, app_id)
        REFERENCES billing_order (id, app_id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE billing_period
    ADD CONSTRAINT period_repeats_its_package FOREIGN KEY (package_id, app_id, api)
        REFERENCES billing_package (id, app_id, api) DEFERRABLE INITIALLY DEFERRED;

-- Final states cannot be changed.
CREATE FUNCTION billing_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: %', TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER final_state BEFORE UPDATE ON billing_order FOR EACH ROW
    WHEN (OLD.state <> 'pending' AND NEW.state <> OLD.state)
    EXECUTE FUNCTION billing_refuse('a paid or cancelled order stays so');
CREATE TRIGGER as_ordered BEFORE UPDATE ON billing_order FOR EACH ROW
    WHEN ((OLD.number, OLD.customer_id, OLD.token, OLD.sku_id, OLD.quantity, OLD.months, OLD.units_per_month,
           OLD.meter, OLD.unit_price, OLD.amount)
          IS DISTINCT FROM
          (NEW.number, NEW.customer_id, NEW.token, NEW.sku_id, NEW.quantity, NEW.months, NEW.units_per_month,
           NEW.meter, NEW.unit_price, NEW.amount))
    EXECUTE FUNCTION billing_refuse('what was ordered stays');
CREATE TRIGGER final_state BEFORE UPDATE ON billing_debit FOR EACH ROW
    WHEN (OLD.state NOT IN ('held', 'settling') OR OLD.state = 'settling' AND NEW.state = 'held')
    EXECUTE FUNCTION billing_refuse('a settled or returned debit stays so');
CREATE TRIGGER unchanged BEFORE UPDATE ON billing_reconcilerun FOR EACH ROW
    EXECUTE FUNCTION billing_refuse('the result of a reconcile run stays so');

-- Leave room on each page for heap-only (HOT) updates of `used` and `state`.
ALTER TABLE billing_period SET (fillfactor = 50);
ALTER TABLE billing_debit SET (fillfactor = 90);
