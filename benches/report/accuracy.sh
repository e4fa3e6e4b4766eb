#!/bin/bash
# Accuracy of every mode on every trace, as Markdown and JSON.
#
#   benches/report/accuracy.sh FOLDER OUT TRACE...     FOLDER has the built wavekvd and wavekv
set -euo pipefail
[[ $# -ge 3 ]] || { sed -n 's/^#   /usage: /p' "${BASH_SOURCE[0]}" >&2; exit 2; }
folder=$1 out=$2
shift 2

. "$(dirname "${BASH_SOURCE[0]}")/daemon.sh"
start_daemon "$folder"
mkdir -p "$out"
for trace in "$@"; do
    name=$(basename "$trace" .safetensors)
    "$folder/wavekv" eval "$trace" --queries all --per-layer --markdown > "$out/$name.md"
    "$folder/wavekv" eval "$trace" --queries all --per-layer --json > "$out/$name.json"
done
