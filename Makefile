# The verbs of this repository. Each does all of its own set-up.
#
#   make demo     build, start the daemon, drive it with a real-shaped workload, print how exact and how cheap it was
#   make test     all tests
#   make bench    all benchmarks, on this machine
#   make lint     format, clippy and documentation, as CI asks for them
#   make install  the daemon and the command line into PREFIX/bin
#   make setup    the native packages that the build needs; the other verbs call it

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
PREFIX ?= $(HOME)/.local
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

.PHONY: help demo test bench lint install setup

help:
	@sed -n 's/^#   //p' Makefile

demo: setup
	$(CARGO) build --release --locked --workspace --bins
	tests/demo.sh "$(CARGO_TARGET_DIR)/release"

test: setup
	$(CARGO) test --workspace --locked

bench: setup
	$(CARGO) bench --workspace --locked --benches

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --workspace --no-deps --locked

install: setup
	$(CARGO) build --release --locked --workspace --bins
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 "$(CARGO_TARGET_DIR)/release/wavekvd" "$(CARGO_TARGET_DIR)/release/wavekv" "$(DESTDIR)$(PREFIX)/bin"

# Rust links with cc against the C library: nothing else is native so far.
setup:
	@command -v $(firstword $(CARGO)) >/dev/null || { \
		echo "setup: $(CARGO) is missing: install Rust with https://rustup.rs" >&2; exit 1; }
	@linked=$$(mktemp); trap 'rm -f "$$linked"' EXIT; \
	echo 'int main(void) { return 0; }' | cc -x c -o "$$linked" - 2>/dev/null || { \
		command -v apt-get >/dev/null || { \
			echo "setup: a C linker (cc) or the C library to link with is missing, and so is apt-get: install them" >&2; exit 1; }; \
		echo "setup: installing gcc and libc6-dev"; \
		root=; [ "$$(id -u)" -eq 0 ] || { \
			command -v sudo >/dev/null || { \
				echo "setup: gcc and libc6-dev are missing: run 'apt-get install gcc libc6-dev' as root" >&2; exit 1; }; \
			root=sudo; }; \
		$$root env DEBIAN_FRONTEND=noninteractive apt-get update -q; \
		$$root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends gcc libc6-dev; }
