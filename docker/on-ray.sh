#!/bin/sh
# Join the Ray cluster at $RAY_ADDRESS as a node that does no work, then run curate there.
# A Ray driver must stand on a node of its cluster; this one offers neither cores nor devices.
set -eu
ray start --address="${RAY_ADDRESS:?set it to host:port of the Ray head}" \
    --num-cpus=0 --num-gpus=0 --object-store-memory=134217728 >/dev/null
exec curate "$@"
