# The plugin is made where an MPI is installed; nothing else knows of MPI.
find_package(MPI COMPONENTS C)
if(MPI_C_FOUND)
  add_library(sllm_mpi MODULE ${CMAKE_CURRENT_LIST_DIR}/mpi_plugin.cc)
  sllm_flags(sllm_mpi)
  target_include_directories(sllm_mpi PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(sllm_mpi PRIVATE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)  # its C++ bindings are gone in newer ones
  target_link_libraries(sllm_mpi PRIVATE MPI::MPI_C)
  set_target_properties(sllm_mpi PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endif()
