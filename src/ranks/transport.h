// What a plugin that connects processes offers the program, in plain C so that either may be built
// alone. The plugin's one symbol is sllm_open_transport.
#pragma once

#include <cstddef>

extern "C" {

struct SllmTransport {
  int rank, size;
  // Sends out[r] to rank r and fills in[r] from it, for all r but the own rank; collective.
  void (*exchange)(const void* const* out, const size_t* out_bytes, void* const* in,
                   const size_t* in_bytes);
  void (*close)();  // collective
};

// Null with a sentence in `error`. Collective; called once.
using SllmOpenTransport = const SllmTransport*(char* error, size_t error_bytes);

}  // extern "C"
