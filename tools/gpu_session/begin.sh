#!/bin/sh
# Start a training that goes on after this command: begin.sh RUN WORDS..., WORDS as for `sixteenfold train`.
# In a process session of its own, since a lent machine may end what a command leaves running.
set -eu
run=$1
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$(dirname "$run")"
export PYTHONPATH="$root/src:${PYTHONPATH:-}"
setsid "${PYTHON:-python3}" -m sixteenfold train --out "$run" "$@" >"$run.log" 2>&1 </dev/null &
echo $! >"$run.pid"
echo "training; its words are in $run.log"
