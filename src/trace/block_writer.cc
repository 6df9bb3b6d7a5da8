#include "trace/block_writer.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>

namespace faultline::trace {

namespace {

constexpr int kLevel = 1;  // the recorder shares the machine with the program it records

// Whether replacing what is at the descriptor loses nothing but an old recording.
bool replaceable(int fd) {
  struct stat status {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return false;
  if (status.st_size == 0) return true;
  char magic[sizeof kFileMagic];
  return pread(fd, magic, sizeof magic, 0) == static_cast<ssize_t>(sizeof magic) && (std::memcmp(magic, kFileMagic, sizeof magic) == 0 || std::memcmp(magic, kReferenceMagic, sizeof magic) == 0);
}

}  // namespace

Result<BlockWriter> BlockWriter::create(const std::string& path, const FileType& type) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return fail(make_error("{}: cannot write the {} here: {}", path, type.noun, std::strerror(errno)));
  if (!replaceable(fd)) {
    close(fd);
    return fail(make_error("{}: exists and is no faultline {}; not overwritten (remove it, or choose another name with -o)", path, type.noun));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {  // kept until the descriptor is closed
    close(fd);
    return fail(make_error("{}: another faultline is recording into this file; choose another name with -o", path));
  }
  FileHeader header{};
  std::memcpy(header.magic, type.magic, sizeof header.magic);
  header.version = type.version;
  header.header_bytes = sizeof header;
  if (ftruncate(fd, 0) != 0 || write(fd, &header, sizeof header) != static_cast<ssize_t>(sizeof header)) {
    const int error = errno;
    close(fd);
    return fail(make_error("{}: cannot write the {} here: {}", path, type.noun, std::strerror(error)));
  }
  BlockWriter writer(fd, path);
  writer.type_ = &type;
  writer.size_ = sizeof header;
  return writer;
}

BlockWriter::BlockWriter(int fd, std::string path) : fd_(fd), path_(std::move(path)), zstd_(ZSTD_createCCtx()) {}

BlockWriter::BlockWriter(BlockWriter&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      type_(other.type_),
      path_(std::move(other.path_)),
      zstd_(std::exchange(other.zstd_, nullptr)),
      size_(other.size_),
      raw_(other.raw_) {}

BlockWriter::~BlockWriter() {
  if (fd_ >= 0) {
    flock(fd_, LOCK_UN);  // closing is not enough: a helper process may have inherited the descriptor
    close(fd_);
  }
  ZSTD_freeCCtx(zstd_);
}

bool BlockWriter::append(BlockHeader header, std::span<const std::uint8_t> payload) {
  if (!failure_.empty()) return false;
  buffer_.resize(sizeof header + ZSTD_compressBound(payload.size()));
  const std::size_t stored = ZSTD_compressCCtx(zstd_, buffer_.data() + sizeof header, buffer_.size() - sizeof header, payload.data(),
                                               payload.size(), kLevel);
  if (ZSTD_isError(stored) != 0 || payload.size() > kMaxBlockRaw) {
    failure_ = fmt::format("{}: cannot compress a block of {} bytes: {}", path_, payload.size(), ZSTD_getErrorName(stored));
    return false;
  }
  header.magic = kBlockMagic;
  header.raw_bytes = static_cast<std::uint32_t>(payload.size());
  header.stored_bytes = static_cast<std::uint32_t>(stored);
  header.reserved = 0;
  header.payload_hash = XXH64(buffer_.data() + sizeof header, stored, 0);
  header.header_hash = XXH64(&header, offsetof(BlockHeader, header_hash), 0);
  std::memcpy(buffer_.data(), &header, sizeof header);
  if (!write_all({buffer_.data(), sizeof header + stored})) return false;
  raw_ += payload.size();
  return true;
}

bool BlockWriter::append_text(BlockKind kind, std::uint32_t image, std::int32_t pid, const std::string& text) {
  BlockHeader header{};
  header.kind = static_cast<std::uint16_t>(kind);
  header.image = image;
  header.pid = pid;
  header.events = 1;
  return append(header, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

bool BlockWriter::write_all(std::span<const std::uint8_t> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = write(fd_, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      failure_ = fmt::format("{}: {} stopped after {} bytes: {}", path_, type_ == &kRecordingType ? "recording" : "writing", size_, std::strerror(n < 0 ? errno : ENOSPC));
      if (ftruncate(fd_, static_cast<off_t>(size_)) != 0) failure_ += " (and the last block stays cut)";
      return false;
    }
    done += static_cast<std::size_t>(n);
  }
  size_ += bytes.size();
  return true;
}

}  // namespace faultline::trace
