# As in src/kernels/folder.cmake.
target_compile_options(sllm_cpu PRIVATE -ffp-contract=off)
if(SLLM_TESTS)
  sllm_test_at_every_level(sllm_cpu_test)
endif()
