#include "trace/references/byte_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace faultline::trace {
namespace {

constexpr std::uint8_t kZstdMagic[4] = {0x28, 0xb5, 0x2f, 0xfd};
constexpr std::size_t kChunk = 1u << 18;
constexpr int kLargestWindowLog = 27;  // 128 MiB; what a longer one would need is no longer constant memory

}  // namespace

Result<std::unique_ptr<ByteInput>> ByteInput::open(const std::string& path) {
  std::unique_ptr<ByteInput> input(new ByteInput);
  input->name_ = path == "-" ? "standard input" : path;
  input->fd_ = path == "-" ? dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (input->fd_ < 0 || fstat(input->fd_, &status) != 0) return fail(make_error("{}: cannot open it: {}", input->name_, std::strerror(errno)));
  if (S_ISDIR(status.st_mode)) return fail(make_error("{}: wanted a file of references, found a directory", input->name_));
  input->seekable_ = S_ISREG(status.st_mode);
  FL_CHECK(input->look_for_zstd());
  return input;
}

std::unique_ptr<ByteInput> ByteInput::of_bytes(std::vector<std::uint8_t> bytes, std::string name) {
  std::unique_ptr<ByteInput> input(new ByteInput);
  input->name_ = std::move(name);
  input->memory_ = std::move(bytes);
  input->seekable_ = true;
  (void)input->look_for_zstd();  // reading memory cannot fail
  return input;
}

ByteInput::~ByteInput() {
  if (fd_ >= 0) close(fd_);
  ZSTD_freeDCtx(zstd_);
}

Result<std::size_t> ByteInput::read_plain(std::span<std::uint8_t> out) {
  if (fd_ < 0) {
    const std::size_t size = std::min(out.size(), memory_.size() - memory_at_);
    std::copy_n(memory_.begin() + static_cast<std::ptrdiff_t>(memory_at_), size, out.begin());
    memory_at_ += size;
    return size;
  }
  for (;;) {
    const ssize_t got = ::read(fd_, out.data(), out.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return fail(make_error("{}: cannot read it: {}", name_, std::strerror(errno)));
  }
}

Result<void> ByteInput::look_for_zstd() {
  stored_.resize(kChunk);
  std::size_t size = 0;
  while (size < sizeof kZstdMagic) {
    FL_TRY(const std::size_t got, read_plain({stored_.data() + size, stored_.size() - size}));
    if (got == 0) break;
    size += got;
  }
  stored_.resize(size);
  stored_at_ = 0;
  if (size >= sizeof kZstdMagic && std::memcmp(stored_.data(), kZstdMagic, sizeof kZstdMagic) == 0) {
    zstd_ = ZSTD_createDCtx();
    ZSTD_DCtx_setParameter(zstd_, ZSTD_d_windowLogMax, kLargestWindowLog);
  }
  return {};
}

Result<std::size_t> ByteInput::read_stored(std::span<std::uint8_t> out) {
  if (stored_at_ == stored_.size()) return read_plain(out);
  const std::size_t size = std::min(out.size(), stored_.size() - stored_at_);
  std::copy_n(stored_.begin() + static_cast<std::ptrdiff_t>(stored_at_), size, out.begin());
  stored_at_ += size;
  return size;
}

Result<std::size_t> ByteInput::read(std::span<std::uint8_t> out) {
  if (ahead_at_ < ahead_.size()) {
    const std::size_t size = std::min(out.size(), ahead_.size() - ahead_at_);
    std::copy_n(ahead_.begin() + static_cast<std::ptrdiff_t>(ahead_at_), size, out.begin());
    ahead_at_ += size;
    return size;
  }
  if (zstd_ == nullptr) return read_stored(out);
  ZSTD_outBuffer result{out.data(), out.size(), 0};
  while (result.pos == 0 && !out.empty()) {
    if (stored_at_ == stored_.size()) {
      stored_.resize(kChunk);
      FL_TRY(const std::size_t got, read_plain(stored_));
      stored_.resize(got);
      stored_at_ = 0;
      if (got == 0) {
        if (inside_frame_) return fail(make_error("{}: the zstd data ends inside a frame", name_));
        return 0;
      }
    }
    ZSTD_inBuffer source{stored_.data(), stored_.size(), stored_at_};
    const std::size_t left = ZSTD_decompressStream(zstd_, &result, &source);
    if (ZSTD_isError(left) != 0) return fail(make_error("{}: not whole zstd data: {}", name_, ZSTD_getErrorName(left)));
    stored_at_ = source.pos;
    inside_frame_ = left != 0;
  }
  return result.pos;
}

Result<std::span<const std::uint8_t>> ByteInput::peek(std::size_t size) {
  std::vector<std::uint8_t> head(std::min(size, std::size_t{1} << 20));
  std::size_t filled = 0;
  while (filled < head.size()) {
    FL_TRY(const std::size_t got, read({head.data() + filled, head.size() - filled}));
    if (got == 0) break;
    filled += got;
  }
  head.resize(filled);
  if (ahead_at_ < ahead_.size()) head.insert(head.end(), ahead_.begin() + static_cast<std::ptrdiff_t>(ahead_at_), ahead_.end());
  ahead_ = std::move(head);
  ahead_at_ = 0;
  return std::span<const std::uint8_t>(ahead_.data(), std::min(ahead_.size(), size));
}

Result<void> ByteInput::rewind() {
  if (!seekable_) return fail(make_error("{}: is no regular file and can be read once only", name_));
  if (fd_ >= 0 && lseek(fd_, 0, SEEK_SET) < 0) return fail(make_error("{}: cannot read it again: {}", name_, std::strerror(errno)));
  memory_at_ = 0;
  ahead_.clear();
  ahead_at_ = 0;
  ZSTD_freeDCtx(zstd_);
  zstd_ = nullptr;
  inside_frame_ = false;
  return look_for_zstd();
}

}  // namespace faultline::trace
