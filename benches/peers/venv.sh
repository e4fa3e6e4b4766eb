#!/bin/bash
# Makes the Python environment of the peers, once, in the build folder, and prints where its python is.
#
#   benches/peers/venv.sh [FOLDER]     FOLDER: target/peers-venv unless given
set -euo pipefail
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
folder=$(realpath -m "${1:-${CARGO_TARGET_DIR:-$here/../../target}/peers-venv}")

[[ -x "$folder/bin/python" ]] || python3 -m venv "$folder" >&2
"$folder/bin/pip" install --quiet --requirement "$here/requirements.txt" >&2
echo "$folder/bin/python"
