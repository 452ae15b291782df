"""Let the application measure transactions of other roles, of which pg_stat_activity shows it no times."""

from django.db import migrations

# SECURITY DEFINER: with the owner's rights, but without the texts of other sessions' statements, which
# pg_read_all_stats would reveal. pg_dump is not counted: a backup may take hours and must not be ended.
CREATE = """
CREATE FUNCTION operations_longest_transaction_s() RETURNS double precision
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)
      FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
       AND backend_type = 'client backend' AND application_name <> 'pg_dump'
$$;
REVOKE ALL ON FUNCTION operations_longest_transaction_s() FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [
        ('operations', '0001_squashed_0002_saved_views'),
    ]
    operations = [
        migrations.RunSQL(CREATE, "DROP FUNCTION operations_longest_transaction_s()"),
    ]
