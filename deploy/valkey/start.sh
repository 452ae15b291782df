#!/bin/sh
# Valkey with a user for each kind of process; $VALKEY_PASSWORD and $VALKEY_WORKER_PASSWORD come from the
# environment. Arguments are added to valkey-server's.
#
# The inference worker can access only its queue, pictures, claims, replies, heartbeats and its clock report: no
# rate limits, idempotency keys, other queues or administration. It cannot list the names of other keys, which
# contain client and mail addresses.
set -eu
umask 077
acl=$(mktemp)
cat >"$acl" <<EOF
user default off
user facecloud on >$VALKEY_PASSWORD ~* &* +@all -@admin -@dangerous +info +keys +flushdb
user worker on >$VALKEY_WORKER_PASSWORD ~inference* ~clock:* ~_kombu.binding.inference* ~_kombu.binding_permanent.inference* resetchannels +@connection +@read +@write +@transaction +@blocking +time -@admin -@dangerous -@scripting +eval +evalsha -scan -randomkey
EOF
exec valkey-server --aclfile "$acl" --save "" --appendonly no --maxmemory-policy noeviction "$@"
