// Zip through libarchive, no other format enabled.
#include "hub/archive.h"

#include <archive.h>
#include <archive_entry.h>

#include <memory>

namespace sllm {

Status read_zip_member(const fs::path& path, const std::string& member, uint64_t limit,
                       const std::function<Status(std::span<const std::byte>)>& write) {
  std::unique_ptr<archive, decltype(&archive_read_free)> zip(archive_read_new(), archive_read_free);
  if (!zip) throw std::bad_alloc();
  archive_read_support_format_zip_seekable(zip.get());
  const auto damaged = [&] {
    const char* what = archive_error_string(zip.get());
    return bad_input("{}: {}", path.string(), what ? what : "not a zip archive");
  };
  if (archive_read_open_filename(zip.get(), path.c_str(), 1 << 20) != ARCHIVE_OK) return damaged();
  for (;;) {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(zip.get(), &entry);
    if (code == ARCHIVE_EOF) return bad_input("{}: holds no \"{}\"", path.string(), member);
    if (code < ARCHIVE_WARN) return damaged();
    const char* name = archive_entry_pathname(entry);
    if (!name || member != name || archive_entry_filetype(entry) != AE_IFREG) continue;
    uint64_t total = 0;
    for (;;) {
      const void* data = nullptr;
      size_t size = 0;
      la_int64_t offset = 0;
      const int block = archive_read_data_block(zip.get(), &data, &size, &offset);
      if (block == ARCHIVE_EOF) return ok();
      if (block < ARCHIVE_WARN) return damaged();
      total += size;
      if (total > limit)
        return bad_input("{}: \"{}\" is longer than {} bytes", path.string(), member, limit);
      SLLM_OK(write({static_cast<const std::byte*>(data), size}));
    }
  }
}

}  // namespace sllm
