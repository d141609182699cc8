#!/bin/sh
# Wait until a training's log has its last line, or so many seconds, and bring out what there is:
# watch.sh RUN SECONDS OUT [model|discriminator|last|curve]: weights, which of the full size nearly fill a call (last: those
# of the newest checkpoint, averaged, be they better or not), or curve and pictures
set -eu
usage='watch.sh RUN SECONDS OUT [model|discriminator|last|curve]'
run=${1:?$usage} seconds=${2:?$usage} out=${3:?$usage} what=${4:-model}
case $seconds in
*[!0-9]*)
    echo "watch.sh: $seconds is not a whole number of seconds; $usage" >&2
    exit 2
    ;;
esac
end=$(($(date +%s) + seconds))
case $what in
model | discriminator | last | curve) ;;
*)
    echo "watch.sh: $what is nothing to bring; $usage" >&2
    exit 2
    ;;
esac
[ -e "$run.log" ] || {
    echo "watch.sh: no training was begun as $run, as there is no $run.log; check RUN" >&2
    exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
file="$run/$what.safetensors"
mkdir -p "$out"

# The pieces are replaced as soon as there are better weights: a call that is ended early still brings those.
bring() {
    [ -e "$file" ] || return 0
    # Not every shell finds a file newer than none.
    [ ! -e "$out/.brought" ] || [ "$file" -nt "$out/.brought" ] || return 0
    touch -r "$file" "$out/.brought"
    rm -rf "$run.pieces"
    "${PYTHON:-python3}" "$here/pieces.py" cut "$file" "$run.pieces" --half
    rm -f "$out/$what.safetensors-"*
    mv "$run.pieces"/* "$out/"
}

until grep -qE '/model.safetensors$|^sixteenfold: |^Traceback' "$run.log" || ! kill -0 "$(cat "$run.pid")" 2>/dev/null || [ "$(date +%s)" -ge "$end" ]; do
    bring
    sleep 5
done
tail -n 12 "$run.log"
if [ "$what" = curve ]; then
    cp "$run/metrics.jsonl" "$out/" || true
    newest=$(ls "$run"/samples/*.png 2>/dev/null | tail -n 1)
    [ -z "$newest" ] || cp "$newest" "$out/"
fi
if [ "$what" = last ] && [ -e "$run/checkpoints" ]; then
    newest=$(ls -t "$run"/checkpoints/*.pt | head -n 1)
    echo "last: $(basename "$newest"), named after its step"
    "${PYTHON:-python3}" -m sixteenfold convert --overwrite "$newest" "$file"
fi
bring
rm -f "$out/.brought"
! grep -qE '^sixteenfold: |^Traceback' "$run.log"
