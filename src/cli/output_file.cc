#include "cli/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace faultline::cli {

Result<OutputFile> OutputFile::create(const std::string& name) {
  if (name == "-") return OutputFile(name, "", stdout);
  struct stat there{};
  const bool exists = stat(name.c_str(), &there) == 0;
  if (exists && S_ISDIR(there.st_mode)) return fail(make_error("{}: wanted a name for the output, found a directory", name));
  // A pipe or a device cannot be replaced, and need not be.
  const std::string part = exists && !S_ISREG(there.st_mode) ? name : fmt::format("{}.{}.part", name, getpid());
  std::FILE* const file = std::fopen(part.c_str(), "we");
  if (file == nullptr) return fail(make_error("{}: cannot be written: {}", name, std::strerror(errno)));
  return OutputFile(name, part, file);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : name_(std::move(other.name_)), part_(std::move(other.part_)), file_(std::exchange(other.file_, nullptr)), bytes_(other.bytes_), error_(other.error_) {}

OutputFile::~OutputFile() {
  if (file_ == nullptr || part_.empty()) return;
  std::fclose(file_);
  if (part_ != name_) unlink(part_.c_str());
}

void OutputFile::write(std::string_view bytes) {
  if (error_ != 0) return;
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) error_ = errno;
  bytes_ += bytes.size();
}

Result<void> OutputFile::finish() {
  if (std::fflush(file_) != 0 && error_ == 0) error_ = errno;
  if (error_ != 0) return fail(make_error("{}: cannot be written: {}", name_, std::strerror(error_)));
  if (part_.empty()) return {};
  std::FILE* const file = std::exchange(file_, nullptr);
  const bool closed = std::fclose(file) == 0;
  if (part_ == name_) return {};
  if (!closed || rename(part_.c_str(), name_.c_str()) != 0) {
    const int error = errno;
    unlink(part_.c_str());
    return fail(make_error("{}: cannot be written: {}", name_, std::strerror(error)));
  }
  return {};
}

}  // namespace faultline::cli
