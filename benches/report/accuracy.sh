#!/bin/bash
# Accuracy of every mode on every trace, as Markdown and JSON.
#
#   benches/report/accuracy.sh FOLDER OUT TRACE...     FOLDER has the built wavekvd and wavekv
set -euo pipefail
[[ $# -ge 3 ]] || { sed -n 's/^#   /usage: /p' "${BASH_SOURCE[0]}" >&2; exit 2; }
folder=$1 out=$2
shift 2

work=$(mktemp -d)
"$folder/wavekvd" --data-dir "$work/data" --set grpc.listen= --set log.level=warn &
daemon=$!
trap 'kill -TERM "$daemon"; wait "$daemon"; rm -rf "$work"' EXIT
for _ in $(seq 600); do
    [[ ! -S "$work/data/wavekvd.sock" ]] || break
    kill -0 "$daemon"
    sleep 0.1
done

export WAVEKV_ADDRESS="unix:$work/data/wavekvd.sock"
mkdir -p "$out"
for trace in "$@"; do
    name=$(basename "$trace" .safetensors)
    "$folder/wavekv" eval "$trace" --queries all --per-layer --markdown > "$out/$name.md"
    "$folder/wavekv" eval "$trace" --queries all --per-layer --json > "$out/$name.json"
done
