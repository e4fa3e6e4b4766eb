# FAISS chooses its instructions when it is compiled, not when it runs: for the baseline of x86-64, calls that search took
# 1.4 to 2 times as long. So it is compiled for AVX2, and src/index/kinds refuses to use it on a CPU without.
if(CMAKE_HOST_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  add_compile_options(-mavx2 -mfma -mf16c -mpopcnt)
endif()
