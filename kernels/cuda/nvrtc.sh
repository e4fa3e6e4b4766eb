#!/bin/bash
# Compiles every kernel with NVRTC for the architectures that tests/nvrtc.rs names. Needs no GPU and no CUDA: the library comes
# from PyPI, into the target folder, once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

: "${CARGO:=cargo}" "${CARGO_TARGET_DIR:=$PWD/target}" "${NVRTC:=12.9.86}"
folder="$CARGO_TARGET_DIR/nvrtc/$NVRTC"
libraries="$folder/nvidia/cuda_nvrtc/lib"
if [[ ! -e "$libraries/libnvrtc.so.12" ]]; then
    echo "nvrtc: fetching nvidia-cuda-nvrtc-cu12 $NVRTC from PyPI (90 MB)"
    python3 -m venv "$CARGO_TARGET_DIR/nvrtc/venv"
    "$CARGO_TARGET_DIR/nvrtc/venv/bin/pip" --quiet --disable-pip-version-check install \
        --no-deps --only-binary :all: --target "$folder" "nvidia-cuda-nvrtc-cu12==$NVRTC"
fi
LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" WAVEKV_REQUIRE_NVRTC=1 \
    "$CARGO" test --locked --package wavekv-kernels --features cuda --test nvrtc
