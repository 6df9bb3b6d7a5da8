#include "trace/references/reference_file.h"

#include <cstdio>
#include <cstring>

namespace faultline::trace {

bool ReferenceStreamFile::is_one(const std::string& path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  char magic[sizeof kReferenceMagic];
  return file != nullptr && std::fread(magic, sizeof magic, 1, file.get()) == 1 && std::memcmp(magic, kReferenceMagic, sizeof magic) == 0;
}

Result<std::unique_ptr<ReferenceStreamFile>> ReferenceStreamFile::open(const std::string& path) {
  FL_TRY(BlockFile blocks, BlockFile::open(path, kReferenceStreamType));
  std::unique_ptr<ReferenceStreamFile> file(new ReferenceStreamFile(std::move(blocks)));
  FL_CHECK(file->read_names());
  return file;
}

Error ReferenceStreamFile::at_block(const BlockEntry& block, const Error& error) const {
  return make_error("{}: block at offset {}: {}", blocks_.path(), block.offset, error.message());
}

Result<void> ReferenceStreamFile::read_names() {
  std::vector<std::uint8_t> payload;
  for (const BlockEntry& block : blocks_.blocks()) {
    const auto kind = static_cast<BlockKind>(block.header.kind);
    if (kind == BlockKind::references) events_ += block.header.events;
    if (kind != BlockKind::reference_origin && kind != BlockKind::reference_names) continue;
    FL_CHECK(blocks_.load(block, payload));
    if (kind == BlockKind::reference_origin) {
      auto origin = decode_origin(payload);
      if (!origin) return fail(at_block(block, origin.error()));
      origin_ = std::move(*origin);
    } else if (auto read = decode_names(payload, names_); !read) {
      return fail(at_block(block, read.error()));
    }
  }
  return {};
}

Result<std::size_t> ReferenceStreamFile::next(std::span<ReferenceEvent> buffer) {
  if (buffer.empty()) return 0;
  for (;;) {
    if (current_ != nullptr) {
      auto count = decoder_.next(buffer);
      if (!count) return fail(at_block(*current_, count.error()));
      if (*count > 0) return *count;
      dropped_ = current_->header.last_time;
      current_ = nullptr;
    }
    while (next_block_ < blocks_.blocks().size() &&
           blocks_.blocks()[next_block_].header.kind != static_cast<std::uint16_t>(BlockKind::references)) {
      ++next_block_;
    }
    if (next_block_ == blocks_.blocks().size()) return 0;
    current_ = &blocks_.blocks()[next_block_++];
    std::vector<std::uint8_t> payload = decoder_.release();
    FL_CHECK(blocks_.load(*current_, payload));
    if (auto begun = decoder_.begin(std::move(payload)); !begun) return fail(at_block(*current_, begun.error()));
  }
}

Result<void> ReferenceStreamFile::rewind() {
  next_block_ = 0;
  current_ = nullptr;
  dropped_ = 0;
  return {};
}

}  // namespace faultline::trace
