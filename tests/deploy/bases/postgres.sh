#!/bin/sh
# Initialise the database on the first start, as the official image does, then run the server.
set -eu
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /run/postgresql
    chown -R postgres: "$PGDATA" /run/postgresql
    exec setpriv --reuid postgres --regid postgres --init-groups sh "$0" "$@"
fi
user=${POSTGRES_USER:-postgres}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password=$(mktemp)
    printf '%s' "${POSTGRES_PASSWORD:?}" >"$password"
    initdb --encoding UTF8 --locale C.UTF-8 --username "$user" --pwfile "$password" --auth-local trust --auth-host scram-sha-256 >/dev/null
    rm "$password"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
    # Nobody but this script reaches the server before the database is there.
    pg_ctl --wait --silent --options "-c listen_addresses=" start
    [ "${POSTGRES_DB:-$user}" = postgres ] || createdb --username "$user" "${POSTGRES_DB:-$user}"
    pg_ctl --wait --silent --mode fast stop
fi
exec "$@"
