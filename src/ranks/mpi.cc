// Finding out about other ranks, and the plugin that reaches them.
#include "ranks/mpi.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>

#include "base/file.h"
#include "base/thread_pool.h"
#include "ranks/transport.h"

namespace sllm {
namespace {

int first_number(std::initializer_list<const char*> variables, int otherwise) {
  for (const char* name : variables)
    if (const char* text = std::getenv(name)) return std::max(std::atoi(text), otherwise);
  return otherwise;
}

int joined_as = 0;

class MpiRanks final : public Ranks {
 public:
  explicit MpiRanks(const SllmTransport& transport)
      : transport_(transport), exceptions_(std::uncaught_exceptions()) {}
  ~MpiRanks() override {
    // Closing would wait for others that wait in an exchange for this one. A process that ends
    // without it ends them, too.
    if (std::uncaught_exceptions() == exceptions_) transport_.close();
  }
  int rank() const override { return transport_.rank; }
  int size() const override { return transport_.size; }
  void exchange(const Out& out, const In& in) override {
    std::vector<const void*> from;
    std::vector<void*> to;
    std::vector<size_t> from_bytes, to_bytes;
    for (const auto& part : out) from.push_back(part.data()), from_bytes.push_back(part.size());
    for (const auto& part : in) to.push_back(part.data()), to_bytes.push_back(part.size());
    transport_.exchange(from.data(), from_bytes.data(), to.data(), to_bytes.data());
  }

 private:
  const SllmTransport& transport_;
  int exceptions_;
};

std::vector<fs::path> plugin_places() {
  if (const char* named = std::getenv("SLLM_MPI_PLUGIN")) return {named};
  std::error_code ignored;
  const fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  return {folder / "libsllm_mpi.so", folder.parent_path() / "lib/sllm/libsllm_mpi.so"};
}

}  // namespace

// Open MPI; MPICH and Intel MPI (Hydra).
int launched_ranks() { return first_number({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}, 1); }
int launched_ranks_here() {
  return first_number({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}, 1);
}
bool launched_first() { return first_number({"OMPI_COMM_WORLD_RANK", "PMI_RANK"}, 0) == 0; }

int cores_of_a_rank() {
  const auto all = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  return std::clamp(all / launched_ranks_here(), 1, usable_cores());
}

Result<std::unique_ptr<Ranks>> join_ranks() {
  std::string why;
  void* plugin = nullptr;
  for (const fs::path& place : plugin_places()) {
    plugin = ::dlopen(place.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (plugin) break;
    if (const char* said = ::dlerror(); said && why.empty()) why = said;
  }
  const auto open = plugin ? reinterpret_cast<SllmOpenTransport*>(
                                 reinterpret_cast<void*>(::dlsym(plugin, "sllm_open_transport")))
                           : nullptr;
  if (!open)
    return with_hint(
        usage_error("{} ranks were started, but the MPI plugin cannot be loaded: {}",
                    launched_ranks(), why.empty() ? "it is not one of sllm's" : why),
        "Build sllm where an MPI is installed (libopenmpi-dev), or run it without mpirun");
  char error[200] = "";
  const SllmTransport* transport = open(error, sizeof error);
  if (!transport) return usage_error("{}", error);
  if (transport->size != launched_ranks())
    return with_hint(usage_error("the launcher started {} ranks and MPI found {}", launched_ranks(),
                                 transport->size),
                     "Start it with the mpirun of the MPI that sllm was built with");
  joined_as = transport->rank;
  return std::unique_ptr<Ranks>(std::make_unique<MpiRanks>(*transport));
}

bool is_one_of_others() { return joined_as > 0; }

}  // namespace sllm
