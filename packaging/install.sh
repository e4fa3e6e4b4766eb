#!/bin/bash
# What `make install` and `make uninstall` do.
#
#   packaging/install.sh FOLDER PREFIX     FOLDER has the built wavekvd and wavekv; PREFIX is as /usr/local or ~/.local
#   packaging/install.sh --remove PREFIX
set -euo pipefail
folder=$1
prefix=$2
bash=$prefix/share/bash-completion/completions
zsh=$prefix/share/zsh/site-functions
fish=$prefix/share/fish/vendor_completions.d
man=$prefix/share/man

if [[ "$folder" == --remove ]]; then
    rm -f "$prefix"/bin/{wavekvd,wavekv} "$bash"/{wavekvd,wavekv} "$zsh"/_{wavekvd,wavekv} \
        "$fish"/{wavekvd,wavekv}.fish "$man"/man1/wavekv{,-*}.1 "$man/man8/wavekvd.8"
    exit
fi

install -d "$prefix/bin" "$bash" "$zsh" "$fish" "$man/man1" "$man/man8"
install -m 755 "$folder/wavekvd" "$folder/wavekv" "$prefix/bin"
completions() {
    "$folder/wavekv" completions "$1" >"$2"
    "$folder/wavekvd" --print-completions "$1" >"$3"
}
completions bash "$bash/wavekv" "$bash/wavekvd"
completions zsh "$zsh/_wavekv" "$zsh/_wavekvd"
completions fish "$fish/wavekv.fish" "$fish/wavekvd.fish"
"$folder/wavekv" man "$man/man1"
"$folder/wavekvd" --print-manual >"$man/man8/wavekvd.8"
