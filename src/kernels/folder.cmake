# A compiler that fuses a*b+c in one tile shape and not in another would make results depend on the
# batch: every fused multiply-add is written out. GCC 12's own headers leave "undefined" vectors
# uninitialised (GCC bug 105593).
target_compile_options(sllm_kernels PRIVATE -ffp-contract=off -Wno-uninitialized -Wno-maybe-uninitialized)

# Runs a test program once at each level of src/kernels/table.cc that this processor has; exit code
# 77 says that it has not.
function(sllm_test_at_every_level target)
  foreach(level scalar avx2 avx512 avx512_vnni avx512_bf16 amx)
    add_test(NAME ${target}.${level} COMMAND ${target})
    set_tests_properties(${target}.${level} PROPERTIES ENVIRONMENT SLLM_ISA=${level} SKIP_RETURN_CODE 77)
  endforeach()
endfunction()
if(SLLM_TESTS)
  sllm_test_at_every_level(sllm_kernels_test)
endif()
