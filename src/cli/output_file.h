// A file that is there whole or not at all: written beside its final name, put in its place at the end.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "base/result.h"

namespace faultline::cli {

class OutputFile {
 public:
  // name "-": standard output, which cannot be taken back.
  static Result<OutputFile> create(const std::string& name);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();  // not finished: nothing is left

  void write(std::string_view bytes);  // an error is told by finish()
  Result<void> finish();
  std::uint64_t bytes() const { return bytes_; }

 private:
  OutputFile(std::string name, std::string part, std::FILE* file) : name_(std::move(name)), part_(std::move(part)), file_(file) {}
  std::string name_, part_;  // part_: empty for standard output
  std::FILE* file_;
  std::uint64_t bytes_ = 0;
  int error_ = 0;  // errno of the first write that failed
};

}  // namespace faultline::cli
