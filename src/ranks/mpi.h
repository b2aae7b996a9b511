// Ranks that mpirun started.
#pragma once

#include <memory>

#include "ranks/ranks.h"

namespace sllm {

// How many processes the launcher (mpirun, mpiexec) started, as its environment says; 1 without
// one. Then: those on this machine; whether this process is the first of all.
int launched_ranks();
int launched_ranks_here();
bool launched_first();

// Cores for each of the ranks of this machine: all that this process may use where it is the only
// one or was bound to its own.
int cores_of_a_rank();

// Joins the others through libsllm_mpi.so, which lies beside the program (or in ../lib/sllm, or
// where SLLM_MPI_PLUGIN says). Once per process; when it ends by an exception, all ranks do.
// kUsage: the plugin or its MPI is not there, or it is another MPI's launcher.
Result<std::unique_ptr<Ranks>> join_ranks();
// Whether this process has joined others and is not the first of them.
bool is_one_of_others();

}  // namespace sllm
