# A compiler that fuses a*b+c in one tile shape and not in another would make results depend on the
# batch: every fused multiply-add is written out.
target_compile_options(sllm_kernels PRIVATE -ffp-contract=off)
# GCC 12's own headers leave "undefined" vectors uninitialised (GCC bug 105593).
target_compile_options(sllm_kernels PRIVATE -Wno-uninitialized -Wno-maybe-uninitialized)
