#!/bin/sh
# Start Caddy, or with the argument `reload` let it read its configuration anew. TRUSTED_PROXIES, which is separated by
# commas, becomes its own list.
set -eu
LOAD_BALANCERS=$(printf '%s' "${TRUSTED_PROXIES:-}" | tr ',' ' ')
export LOAD_BALANCERS
exec caddy "${1:-run}" --config /etc/caddy/Caddyfile --adapter caddyfile
