target_compile_options(sllm_cpu PRIVATE -ffp-contract=off)
