#!/bin/sh
# Start a training that goes on after this command: begin.sh RUN WORDS..., WORDS as for `sixteenfold train`.
# In a process session of its own, since a lent machine may end what a command leaves running.
set -eu
usage='begin.sh RUN WORDS...: the words as for sixteenfold train, without --out'
run=${1:?$usage}
shift
[ $# -gt 0 ] || {
    echo "begin.sh: nothing to train; $usage" >&2
    exit 2
}
root=$(cd "$(dirname "$0")/../.." && pwd)
if [ -e "$run" ] || { [ -e "$run.pid" ] && kill -0 "$(cat "$run.pid")" 2>/dev/null; }; then
    echo "begin.sh: $run exists, or its training still goes on; its log would be lost: choose another RUN" >&2
    exit 2
fi
mkdir -p "$(dirname "$run")"
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}"
: >"$run.log"  # at once: watch.sh may look for it before the training has opened it
setsid "${PYTHON:-python3}" -m sixteenfold train --out "$run" "$@" >>"$run.log" 2>&1 </dev/null &
echo $! >"$run.pid"
echo "training; its words are in $run.log"
