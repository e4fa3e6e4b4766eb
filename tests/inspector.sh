#!/bin/bash
# The inspector in a real browser: a daemon with collections and queries, its page in a headless Chromium.
#
#   tests/inspector.sh --install                     gets Chromium (Debian's, as root or through sudo) and Playwright (PyPI)
#   tests/inspector.sh FOLDER OUT                    FOLDER has the built wavekvd and wavekv; screenshots are written to OUT
#   tests/inspector.sh --if-installed FOLDER OUT     the same, or nothing where the browser is not there
#
# CHROMIUM names another browser of the kind. Playwright drives it, from an environment in the build folder; it downloads no
# browser of its own.
set -euo pipefail
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../target}")
environment=$target/inspector-venv
python=$environment/bin/python

browser() {
    local name
    for name in ${CHROMIUM:-chromium chromium-browser google-chrome-stable google-chrome}; do
        command -v "$name" && return
    done
    return 1
}

install() {
    if ! browser >/dev/null; then
        command -v apt-get >/dev/null || { echo "inspector: there is no Chromium and no apt-get: install one, or name it in CHROMIUM" >&2; exit 1; }
        local root=()
        [[ $(id -u) -eq 0 ]] || root=(sudo)
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium
    fi
    [[ -x $python ]] || python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --requirement "$here/inspector.txt"
}

lacks() {
    if ! browser >/dev/null; then
        echo "there is no Chromium"
    elif ! "$python" -c 'import playwright' 2>/dev/null; then
        echo "there is no Playwright in $environment"
    fi
}

case "${1:-}" in
--install)
    install
    exit
    ;;
--if-installed)
    shift
    lacking=$(lacks)
    if [[ -n $lacking ]]; then
        echo "inspector: SKIPPED, the page was not looked at in a browser: $lacking (make inspector-check gets it)"
        exit 0
    fi
    ;;
esac
[[ $# -eq 2 ]] || { sed -n 's/^#   /usage: /p' "${BASH_SOURCE[0]}" >&2; exit 2; }
lacking=$(lacks)
[[ -z $lacking ]] || { echo "inspector: $lacking: run tests/inspector.sh --install" >&2; exit 1; }
PYTHONDONTWRITEBYTECODE=1 exec "$python" "$here/inspector.py" "$(browser)" "$1" "$2"
