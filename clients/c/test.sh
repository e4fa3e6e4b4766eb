#!/bin/bash
# Compiles the example in C, and the header as C++, and runs the example against a daemon; leaves the program that
# tests/conformance asks in the build folder's conformance/.
#
#   clients/c/test.sh FOLDER     FOLDER has the built wavekvd and libwavekv_c.a
set -euo pipefail
[[ $# -eq 1 ]] || { sed -n 's/^#   /usage: /p' "${BASH_SOURCE[0]}" >&2; exit 2; }
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
folder=$(realpath "$1")

. "$here/../../benches/report/daemon.sh"
start_daemon "$folder"
warnings=(-Wall -Wextra -Wpedantic -Werror)
c++ -std=c++17 "${warnings[@]}" -fsyntax-only -x c++ "$here/include/wavekv.h"
compile() {
    cc -std=c11 "${warnings[@]}" -O1 -I "$here/include" -o "$2" "$1" "$folder/libwavekv_c.a" -lm -lpthread -ldl
}
compile "$here/examples/attend.c" "$work/attend"
"$work/attend" "$WAVEKV_ADDRESS"

mkdir -p "$folder/../conformance"
compile "$here/tests/conformance.c" "$folder/../conformance/c"
