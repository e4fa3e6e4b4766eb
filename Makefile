# The verbs of this repository. Each does all of its own set-up.
#
#   make demo     build, start the daemon, drive it with a real-shaped workload, print how exact and how cheap it was
#   make test     all tests but those of the adapter for transformers
#   make inspector-check   the inspector in a headless Chromium, with screenshots in its light and dark, narrow and wide forms
#   make cuda-check   compiles the CUDA kernels with NVRTC, which it fetches from PyPI (90 MB); needs no GPU
#   make test-transformers   those: with torch (5.6 GB) and the versions of transformers that the adapter is for
#   make bench    all benchmarks, on this machine
#   make capacity a million tokens in 256 MiB of memory: the plan, what was measured, and whether it holds
#   make soak     ten minutes of mixed load, with clients and daemons that are killed; afterwards all must be as before
#   make lint     format, clippy and documentation, as CI asks for them
#   make install  the daemon, the command line, what has shells complete them and their manual into PREFIX
#   make uninstall   removes those again
#   make setup    the native packages that the build needs; the other verbs call it
#
#   FAISS=no with any of them: without the index kinds ivf and hnsw, and without building FAISS

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
PREFIX ?= $(HOME)/.local
FAISS ?= yes
features := $(if $(filter no,$(FAISS)),--no-default-features)
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

.PHONY: help demo test test-transformers cuda-check inspector-check bench capacity soak lint install uninstall setup

# That the adapter for transformers is tested with: the signatures that it follows move between them.
TRANSFORMERS ?= 4.57.6 5.24.0

help:
	@sed -n 's/^#   //p' Makefile

demo: setup
	$(CARGO) build --release --locked --workspace --bins $(features)
	tests/demo.sh "$(CARGO_TARGET_DIR)/release"

demo test test-transformers cuda-check inspector-check: python := yes

# The second line has a daemon whose disk fails where its tests say. It asks for the whole workspace, as the first does: one
# package alone would unify features otherwise, and build RocksDB again.
test: setup
	$(CARGO) test --workspace --locked $(features)
	$(CARGO) test --workspace --locked $(features) --features wavekv/failpoints --test faults
	$(CARGO) build --workspace --locked $(features)
	clients/c/test.sh "$(CARGO_TARGET_DIR)/debug"
	clients/python/test.sh "$(CARGO_TARGET_DIR)/debug"
	tests/inspector.sh --if-installed "$(CARGO_TARGET_DIR)/debug" "$(CARGO_TARGET_DIR)/inspector"
	WAVEKV_CONFORMANCE="$(CARGO_TARGET_DIR)/conformance" $(CARGO) test --workspace --locked $(features) --test conformance
	"$(CARGO_TARGET_DIR)/debug/wavekv" capacity --tokens 200000 --kv-heads 2 --memory 192MiB --out "$(CARGO_TARGET_DIR)/capacity"

# `test` runs this too where a browser and Playwright are there already, and says so where they are not.
inspector-check: setup
	$(CARGO) build --workspace --locked --bins $(features)
	tests/inspector.sh --install
	tests/inspector.sh "$(CARGO_TARGET_DIR)/debug" "$(CARGO_TARGET_DIR)/inspector"

cuda-check: setup
	CARGO="$(CARGO)" kernels/cuda/nvrtc.sh

test-transformers: setup
	$(CARGO) build --workspace --locked --bins $(features)
	clients/python/test.sh "$(CARGO_TARGET_DIR)/debug" $(TRANSFORMERS)

bench: setup
	$(CARGO) bench --workspace --locked --benches $(features)

capacity: setup
	$(CARGO) build --release --locked --workspace --bins $(features)
	"$(CARGO_TARGET_DIR)/release/wavekv" capacity --tokens 1000000 --kv-heads 2 --memory 256MiB --out "$(CARGO_TARGET_DIR)/capacity"

soak: setup
	WAVEKV_SOAK=600 $(CARGO) test --workspace --locked $(features) --test soak

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked $(features) -- -D warnings
	$(CARGO) clippy --workspace --all-targets --locked $(features) --features wavekv/failpoints -- -D warnings
	$(CARGO) clippy --package wavekv --all-targets --locked --no-default-features -- -D warnings
	$(CARGO) clippy --package wavekv-kernels --package wavekv-kernels-shim --all-targets --locked --features wavekv-kernels-shim/gpu -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --workspace --no-deps --locked $(features)

install: setup
	$(CARGO) build --release --locked --workspace --bins $(features)
	packaging/install.sh "$(CARGO_TARGET_DIR)/release" "$(DESTDIR)$(PREFIX)"

uninstall:
	packaging/install.sh --remove "$(DESTDIR)$(PREFIX)"

# Rust links with cc against the C library. RocksDB is C++, and libclang reads its header. FAISS is C++ that cmake builds,
# and links OpenMP and a BLAS. The Python client is tested in an environment of its own.
setup:
	@command -v $(firstword $(CARGO)) >/dev/null || { \
		echo "setup: $(CARGO) is missing: install Rust with https://rustup.rs" >&2; exit 1; }
	@linked=$$(mktemp); trap 'rm -f "$$linked"' EXIT; missing=(); \
	links() { echo 'int main() { return 0; }' | "$$@" -o "$$linked" - 2>/dev/null; }; \
	links cc -x c || missing+=(gcc libc6-dev); \
	links c++ -x c++ || missing+=(g++); \
	[ -n "$${LIBCLANG_PATH:-}" ] || ldconfig -p | grep -q 'libclang[-.][0-9s]' || \
		compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null || \
		compgen -G '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*' >/dev/null || missing+=(libclang-dev); \
	if [ "$(FAISS)" != no ]; then \
		command -v cmake >/dev/null || missing+=(cmake); \
		links c++ -x c++ -fopenmp || missing+=(g++); \
		links c++ -x c++ -fopenmp -lblas -llapack || missing+=(libopenblas-dev); \
	fi; \
	[ "$(python)" != yes ] || python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv); \
	[ "$${#missing[@]}" -eq 0 ] || { \
		command -v apt-get >/dev/null || { \
			echo "setup: what Debian calls $${missing[*]} is missing, and so is apt-get: install it" >&2; exit 1; }; \
		echo "setup: installing $${missing[*]}"; \
		root=; [ "$$(id -u)" -eq 0 ] || { \
			command -v sudo >/dev/null || { \
				echo "setup: run 'apt-get install $${missing[*]}' as root" >&2; exit 1; }; \
			root=sudo; }; \
		$$root env DEBIAN_FRONTEND=noninteractive apt-get update -q; \
		$$root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$${missing[@]}"; }
	@[ "$(FAISS)" = no ] || { \
		version=$$(cmake --version | sed -n 's/^cmake version //p'); \
		printf '%s\n' 3.24 "$$version" | sort -CV || { \
			echo "setup: cmake is $$version: FAISS needs 3.24; install it, or build without FAISS: FAISS=no" >&2; exit 1; }; }
