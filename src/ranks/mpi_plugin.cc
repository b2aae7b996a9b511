// libsllm_mpi.so: an exchange over MPI. A library of its own, so that the program neither needs nor
// carries MPI where one process does the work.
#include <mpi.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "ranks/transport.h"

namespace {

SllmTransport transport;

// MPI counts in int; larger messages go in pieces, which arrive in their order.
constexpr size_t kPiece = size_t{1} << 30;

template <class Post>
void in_pieces(size_t bytes, Post post) {
  for (size_t begin = 0; begin < bytes; begin += kPiece)
    post(begin, static_cast<int>(std::min(kPiece, bytes - begin)));
}

void exchange(const void* const* out, const size_t* out_bytes, void* const* in,
              const size_t* in_bytes) {
  std::vector<MPI_Request> requests;
  for (int r = 0; r < transport.size; ++r) {
    if (r == transport.rank) continue;
    in_pieces(in_bytes[r], [&](size_t begin, int n) {
      requests.emplace_back();
      MPI_Irecv(static_cast<char*>(in[r]) + begin, n, MPI_BYTE, r, 0, MPI_COMM_WORLD,
                &requests.back());
    });
  }
  for (int r = 0; r < transport.size; ++r) {
    if (r == transport.rank) continue;
    in_pieces(out_bytes[r], [&](size_t begin, int n) {
      requests.emplace_back();
      MPI_Isend(static_cast<const char*>(out[r]) + begin, n, MPI_BYTE, r, 0, MPI_COMM_WORLD,
                &requests.back());
    });
  }
  // MPI_Waitall would spin on a core that the backward pass, or another rank, has work for.
  const timespec moment{0, 50'000};
  for (int done = 0;;) {
    MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
    if (done) return;
    ::nanosleep(&moment, nullptr);
  }
}

}  // namespace

extern "C" const SllmTransport* sllm_open_transport(char* error, size_t error_bytes) {
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS ||
      provided < MPI_THREAD_SERIALIZED) {
    std::snprintf(error, error_bytes, "this MPI does not allow calls from several threads");
    return nullptr;
  }
  MPI_Comm_rank(MPI_COMM_WORLD, &transport.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &transport.size);
  transport.exchange = exchange;
  transport.close = [] { MPI_Finalize(); };
  return &transport;
}
