#!/bin/sh
# Valkey with a user for each kind of process; $VALKEY_PASSWORD and $VALKEY_WORKER_PASSWORD come from the
# environment. Arguments are added to valkey-server's.
#
# The inference worker reaches its queue, pictures, claims, replies, heartbeats and its clock report, and
# nothing else: no rate limits, no idempotency keys, no other queue, no administration. Nor does it see the
# names of other keys, in which there are client and mail addresses.
set -eu
umask 077
acl=$(mktemp)
cat >"$acl" <<EOF
user default off
user facecloud on >$VALKEY_PASSWORD ~* &* +@all -@admin -@dangerous +info +keys +flushdb
user worker on >$VALKEY_WORKER_PASSWORD ~inference* ~clock:* ~_kombu.binding.inference* ~_kombu.binding_permanent.inference* resetchannels +@connection +@read +@write +@transaction +@blocking +time -@admin -@dangerous -@scripting +eval +evalsha -scan -randomkey
EOF
exec valkey-server --aclfile "$acl" --save "" --appendonly no --maxmemory-policy noeviction "$@"
