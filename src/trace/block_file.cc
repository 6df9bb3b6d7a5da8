#include "trace/block_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace faultline::trace {

namespace {

// Reads exactly size bytes, or says how many there were.
std::size_t read_at(int fd, void* out, std::size_t size, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = pread(fd, static_cast<char*>(out) + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

const char* fault_in(const BlockHeader& header) {
  if (header.magic != kBlockMagic) return "no block begins here";
  if (header.header_hash != XXH64(&header, offsetof(BlockHeader, header_hash), 0)) return "the block's header fails its checksum";
  if (header.raw_bytes > kMaxBlockRaw || header.stored_bytes > ZSTD_compressBound(kMaxBlockRaw)) return "the block's size is impossible";
  return nullptr;
}

}  // namespace

Result<BlockFile> BlockFile::open(const std::string& path, const FileType& type) {
  BlockFile file;
  file.type_ = &type;
  file.path_ = path;
  file.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not hang us: it is refused below
  if (file.fd_ < 0) return fail(make_error("{}: cannot open the {}: {}", path, type.noun, std::strerror(errno)));
  struct stat status {};
  if (fstat(file.fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
    return fail(make_error("{}: wanted a faultline {}, found {}", path, type.noun, S_ISDIR(status.st_mode) ? "a directory" : "no regular file"));
  }
  file.bytes_ = static_cast<std::uint64_t>(status.st_size);
  FileHeader header{};
  const std::size_t got = read_at(file.fd_, &header, sizeof header, 0);
  if (got < sizeof header || std::memcmp(header.magic, type.magic, sizeof header.magic) != 0) {
    const bool of_ours = got >= sizeof header && (std::memcmp(header.magic, kFileMagic, sizeof kFileMagic) == 0 ||
                                                  std::memcmp(header.magic, kReferenceMagic, sizeof kReferenceMagic) == 0);
    if (of_ours) {
      return fail(make_error("{}: wanted a faultline {}, found a faultline {}", path, type.noun,
                             (header.magic[5] == kReferenceMagic[5] ? kReferenceStreamType : kRecordingType).noun));
    }
    return fail(make_error("{}: wanted a faultline {}, found {}", path, type.noun,
                           got == 0 ? "an empty file" : got < sizeof header ? "a file too short for one" : "another kind of file"));
  }
  if (header.version < type.oldest_version || header.version > type.version) {
    return fail(make_error("{}: wanted {} format {} to {}, found format {}: written by {} faultline", path, type.noun, type.oldest_version,
                           type.version, header.version, header.version > type.version ? "a newer" : "an older"));
  }
  if (header.header_bytes < sizeof header || header.header_bytes > file.bytes_) {
    return fail(make_error("{}: wanted a faultline {}, found a header of {} bytes at offset 12", path, type.noun, header.header_bytes));
  }
  file.version_ = header.version;
  file.zstd_ = ZSTD_createDCtx();
  file.index();
  return file;
}

BlockFile::BlockFile(BlockFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      type_(other.type_),
      path_(std::move(other.path_)),
      zstd_(std::exchange(other.zstd_, nullptr)),
      blocks_(std::move(other.blocks_)),
      damage_(std::move(other.damage_)),
      bytes_(other.bytes_),
      version_(other.version_),
      ended_(other.ended_) {}

BlockFile::~BlockFile() {
  if (fd_ >= 0) close(fd_);
  ZSTD_freeDCtx(zstd_);
}

void BlockFile::index() {
  FileHeader head{};
  read_at(fd_, &head, sizeof head, 0);
  std::uint64_t offset = head.header_bytes;
  while (offset < bytes_) {
    BlockEntry entry{};
    entry.offset = offset;
    const std::size_t got = read_at(fd_, &entry.header, sizeof entry.header, offset);
    const char* fault = got < sizeof entry.header ? "the file ends inside a block's header" : fault_in(entry.header);
    const std::uint64_t end = offset + sizeof entry.header + entry.header.stored_bytes;
    if (fault == nullptr && end > bytes_) fault = "the file ends inside a block";
    if (fault == nullptr && ended_) fault = "data after its end";
    if (fault != nullptr) {
      damage_ = fmt::format("damaged at offset {} of {}: {}; what follows is not used", offset, bytes_, fault);
      return;
    }
    if (entry.header.kind == static_cast<std::uint16_t>(BlockKind::end)) ended_ = true;
    blocks_.push_back(entry);
    offset = end;
  }
  if (!ended_) damage_ = fmt::format("the {} was not finished (recorder killed, or no space left): its last moments are missing", type_->noun);
}

Result<void> BlockFile::load(const BlockEntry& block, std::vector<std::uint8_t>& payload) {
  const BlockHeader& header = block.header;
  stored_.resize(header.stored_bytes);
  if (read_at(fd_, stored_.data(), stored_.size(), block.offset + sizeof header) != stored_.size()) {
    return fail(make_error("{}: offset {}: wanted {} bytes, found the end of the file", path_, block.offset, stored_.size()));
  }
  if (XXH64(stored_.data(), stored_.size(), 0) != header.payload_hash) {
    return fail(make_error("{}: damaged at offset {}: the block fails its checksum", path_, block.offset));
  }
  payload.resize(header.raw_bytes);
  const std::size_t size = ZSTD_decompressDCtx(zstd_, payload.data(), payload.size(), stored_.data(), stored_.size());
  if (ZSTD_isError(size) != 0 || size != header.raw_bytes) {
    return fail(make_error("{}: damaged at offset {}: the block does not decompress to its {} bytes", path_, block.offset, header.raw_bytes));
  }
  return {};
}

}  // namespace faultline::trace
