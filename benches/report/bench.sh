#!/bin/bash
# Time, bytes and error of every mode on contexts of growing length, as a page, plots and JSON.
#
#   benches/report/bench.sh FOLDER OUT [ARGUMENT...]     FOLDER has the built wavekvd and wavekv
#
# ARGUMENTs go to `wavekv bench`: traces, --tokens, --mode, --peers, ... The daemon may take three quarters of the memory
# that is free; MEMORY_BUDGET=20GiB says otherwise.
set -euo pipefail
[[ $# -ge 2 ]] || { sed -n 's/^#   /usage: /p' "${BASH_SOURCE[0]}" >&2; exit 2; }
folder=$1 out=$2
shift 2

free=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
budget=${MEMORY_BUDGET:-$((free * 3 / 4))KiB}

. "$(dirname "${BASH_SOURCE[0]}")/daemon.sh"
start_daemon "$folder" --set "memory.budget=$budget"

"$folder/wavekv" bench --out "$out" "$@"
