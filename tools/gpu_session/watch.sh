#!/bin/sh
# Wait until a training's log has its last line, or so many seconds, and bring out what there is:
# watch.sh RUN SECONDS OUT [model|discriminator|curve]: weights, which of the full size nearly fill a call, or curve and pictures
set -eu
run=$1 left=$2 out=$3 what=${4:-model}
here=$(cd "$(dirname "$0")" && pwd)
until grep -qE '/model.safetensors$|^sixteenfold: |^Traceback' "$run.log" || ! kill -0 "$(cat "$run.pid")" 2>/dev/null || [ "$left" -le 0 ]; do
    sleep 5
    left=$((left - 5))
done
mkdir -p "$out"
tail -n 12 "$run.log"
if [ "$what" = curve ]; then
    cp "$run/metrics.jsonl" "$out/" || true
    newest=$(ls "$run"/samples/*.png 2>/dev/null | tail -n 1)
    [ -z "$newest" ] || cp "$newest" "$out/"
    exit
fi
[ ! -e "$run/$what.safetensors" ] ||
    "${PYTHON:-python3}" "$here/pieces.py" cut "$run/$what.safetensors" "$out" --half
