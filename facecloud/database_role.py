"""A PostgreSQL role for the application that can modify rows, but neither tables nor history.

The tables belong to the role of DATABASE_OWNER_URL, which runs migrations. The application's role, that of
DATABASE_URL, cannot truncate, alter or drop a table, nor disable a trigger; in append-only tables it can only
insert.
"""

from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from psycopg2.sql import SQL, Identifier, Literal

# The tables with the trigger `append_only`, which migrations create.
APPEND_ONLY_TABLES = """
SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'append_only' ORDER BY 1
"""
# The functions that create and drop months of calls and debits with the owner's rights
# (billing/books/months.py), since the application cannot create or drop tables otherwise, and the one that
# measures transactions of other roles (operations/monitoring/health.py). PUBLIC may not call them.
OWNERS_FUNCTIONS = """
SELECT oid::regprocedure::text FROM pg_proc
 WHERE prosecdef AND pronamespace = 'public'::regnamespace AND proowner = current_user::regrole
"""


def after_migrations(sender: AppConfig, using: str = DEFAULT_DB_ALIAS, **_: Any) -> None:
    """Grant the role of DATABASE_URL its privileges if connected as the owner; a receiver of post_migrate.

    The signal is sent once for each app with models; this acts on the last one.
    """
    application = settings.APPLICATION_DATABASE
    last = [app for app in apps.get_app_configs() if app.models_module][-1]
    if application is not None and sender is last and using == DEFAULT_DB_ALIAS:
        grant(application["USER"], application["PASSWORD"], using=using)


def grant(role: str, password: str = "", *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Create the role if it is missing, and grant it exactly the privileges that the application needs.

    Raises ImproperlyConfigured if the role is the owner or a superuser, which no grant can restrict.
    """
    with transaction.atomic(using), connections[using].cursor() as cursor:
        _create(cursor, role, password)
        cursor.execute(APPEND_ONLY_TABLES)
        append_only = [name for (name,) in cursor.fetchall()]
        name = Identifier(role)
        for statement in (
            "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}",
            "GRANT USAGE ON SCHEMA public TO {role}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
            "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}",
        ):
            cursor.execute(SQL(statement).format(role=name))
        cursor.execute(OWNERS_FUNCTIONS)
        for (function,) in cursor.fetchall():
            # Again, because a dump without privileges has lost it.
            cursor.execute(SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(SQL(function)))
            cursor.execute(SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(SQL(function), name))
        for table in append_only:
            cursor.execute(SQL("REVOKE UPDATE, DELETE ON {} FROM {}").format(Identifier(table), name))


def _create(cursor: Any, role: str, password: str) -> None:
    cursor.execute("SELECT rolsuper, rolname = current_user FROM pg_roles WHERE rolname = %s", [role])
    found = cursor.fetchone()
    if found is not None and any(found):
        raise ImproperlyConfigured(
            f"The role {role} of DATABASE_URL is {'a superuser' if found[0] else 'also the owner'}: "
            "give the application a separate role."
        )
    if found is None:
        cursor.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(role)))
    if password:
        cursor.execute(SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(role), Literal(password)))


def can_rewrite_history() -> bool:
    """Return whether the connected role can truncate the audit log, as its owner or a superuser can."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT has_table_privilege('accounts_auditentry', 'TRUNCATE')")
        return bool(cursor.fetchone()[0])
