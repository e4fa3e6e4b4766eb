#!/bin/bash
# What PyTorch and FAISS need for the work that `wavekv bench` measures, on the same data: a file for its --peers.
#
#   benches/peers/peers.sh FOLDER OUT TOKENS [ARGUMENT...]     FOLDER has the built wavekv; TOKENS as in 8192,32768
#
# ARGUMENTs go to peers.py, as in --threads 2. PYTHON names an environment with requirements.txt; else venv.sh makes one.
# Contexts have the geometry that `wavekv bench` has by itself.
set -euo pipefail
[[ $# -ge 3 ]] || { sed -n 's/^#   /usage: /p' "${BASH_SOURCE[0]}" >&2; exit 2; }
here=$(dirname "${BASH_SOURCE[0]}")
folder=$1 out=$2 tokens=$3
shift 3

python=${PYTHON:-$("$here/venv.sh")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
traces=()
for count in ${tokens//,/ }; do
    trace="$work/generated-$count.safetensors"
    "$folder/wavekv" generate "$trace" --tokens "$count" --kv-heads 8 --group 4 --head-dim 128 --dtype bf16
    traces+=("$trace")
done
"$python" "$here/peers.py" "${traces[@]}" --out "$out" "$@"
