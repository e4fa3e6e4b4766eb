#!/bin/bash
# The tests of the Python client, against a built daemon.
#
#   clients/python/test.sh FOLDER                  FOLDER has the built wavekvd: the client
#   clients/python/test.sh FOLDER VERSION...       the adapter for transformers too, with each of these versions of it
#
# Leaves the programs that tests/conformance asks in the build folder's conformance/. The environment is made once, in the build folder. PyPI's torch brings its CUDA libraries: 5.6 GB.
set -euo pipefail
[[ $# -ge 1 ]] || { sed -n 's/^#   /usage: /p' "${BASH_SOURCE[0]}" >&2; exit 2; }
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
WAVEKV_DAEMON=$(realpath "$1/wavekvd")
export WAVEKV_DAEMON
shift
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")
environment=$target/python-venv

[[ -x "$environment/bin/python" ]] || python3 -m venv "$environment"
export VIRTUAL_ENV="$environment" PATH="$environment/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
pip install --quiet --requirement "$here/requirements.txt"
cd "$here"
maturin develop --quiet
pytest -q -p no:cacheprovider tests/test_client.py

mkdir -p "$target/conformance"
program() {
    printf '#!/bin/sh\nexec %q %q %s\n' "$environment/bin/python" "$here/tests/conformance.py" "${*:2}" >"$target/conformance/$1"
    chmod +x "$target/conformance/$1"
}
program python
program python-aio --aio

for version in "$@"; do
    pip install --quiet --requirement requirements-transformers.txt "transformers==$version"
    echo "transformers $version"
    pytest -q -p no:cacheprovider tests/test_transformers.py
done
