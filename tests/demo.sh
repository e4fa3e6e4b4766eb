#!/bin/bash
# The main job, end to end: a daemon on a data directory of its own, a sequence's KV cache in it, its queries answered in
# every mode and compared with exact attention.
#
#   tests/demo.sh FOLDER [TRACE...]     FOLDER has the built wavekvd and wavekv
#
# Without TRACE: the recorded traces of ../shared/traces where they are, else one made by `wavekv generate`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$1
shift

work=$(mktemp -d)
daemon=
finish() {
    [[ -z "$daemon" ]] || kill -KILL "$daemon" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

step() {
    printf '\n\033[1m%s\033[0m\n' "$*"
}

export WAVEKV_ADDRESS="unix:$work/data/wavekvd.sock"
wavekv() {
    printf '$ wavekv %s\n' "$*"
    "$folder/wavekv" "$@"
}

traces=("$@")
if [[ ${#traces[@]} -eq 0 ]]; then
    shopt -s nullglob
    traces=(../shared/traces/*.safetensors)
fi
if [[ ${#traces[@]} -eq 0 ]]; then
    step "No recorded trace in ../shared/traces: making one with clustered keys, sinks and needles"
    wavekv generate "$work/generated.safetensors" --tokens 16384 --layers 2 --dtype bf16
    traces=("$work/generated.safetensors")
fi

step "Starting wavekvd on an empty data directory"
"$folder/wavekvd" --data-dir "$work/data" --set grpc.listen= --set log.level=warn &
daemon=$!
for _ in $(seq 600); do
    [[ ! -S "$work/data/wavekvd.sock" ]] || break
    kill -0 "$daemon" 2>/dev/null || { echo "demo: wavekvd did not start" >&2; exit 1; }
    sleep 0.1
done

step "A sequence becomes a collection"
wavekv ingest "${traces[0]}" --name demo --cluster
wavekv collections ls
wavekv collections show demo
wavekv collections rm demo

for trace in "${traces[@]}"; do
    step "Every mode against exact attention in f64: $(basename "$trace")"
    wavekv eval "$trace"
done

step "Stopping wavekvd with SIGTERM"
kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
daemon=
echo "wavekvd ended with exit code $status"
exit "$status"
