#!/bin/sh
# Start Caddy, or with the argument `reload` make it reload its configuration. The comma-separated
# TRUSTED_PROXIES are converted to Caddy's list format.
set -eu
LOAD_BALANCERS=$(printf '%s' "${TRUSTED_PROXIES:-}" | tr ',' ' ')
export LOAD_BALANCERS
exec caddy "${1:-run}" --config /etc/caddy/Caddyfile --adapter caddyfile
