// A source of records of one size, each of which is one touch: how the binary formats are read.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "trace/references/byte_input.h"
#include "trace/references/reference.h"

namespace faultline::trace {

// Format: kBytes, and ReferenceEvent touch(const std::uint8_t* record).
template <typename Format>
class RecordSource : public ReferenceSource {
 public:
  explicit RecordSource(std::unique_ptr<ByteInput> input) : input_(std::move(input)), buffer_(Format::kBytes * kRecords) {}

  Result<std::size_t> next(std::span<ReferenceEvent> out) override {
    if (filled_ - at_ < Format::kBytes) {
      std::memmove(buffer_.data(), buffer_.data() + at_, filled_ - at_);
      filled_ -= at_;
      at_ = 0;
      while (filled_ < Format::kBytes) {
        FL_TRY(const std::size_t got, input_->read({buffer_.data() + filled_, buffer_.size() - filled_}));
        if (got == 0 && filled_ > 0) {
          return fail(make_error("{}: offset {}: wanted a record of {} bytes, found {} bytes and the end", input_->name(), offset_,
                                 Format::kBytes, filled_));
        }
        if (got == 0) return 0;
        filled_ += got;
      }
    }
    const std::size_t count = std::min(out.size(), (filled_ - at_) / Format::kBytes);
    for (std::size_t i = 0; i < count; ++i) out[i] = Format::touch(buffer_.data() + at_ + i * Format::kBytes);
    at_ += count * Format::kBytes;
    offset_ += count * Format::kBytes;
    return count;
  }
  Result<void> rewind() override {
    at_ = filled_ = 0;
    offset_ = 0;
    return input_->rewind();
  }
  const std::vector<ReferenceFile>& files() const override { return none_; }
  bool has_mappings() const override { return false; }

 private:
  static constexpr std::size_t kRecords = 1u << 14;
  std::unique_ptr<ByteInput> input_;
  std::vector<std::uint8_t> buffer_;
  std::size_t at_ = 0, filled_ = 0;
  std::uint64_t offset_ = 0;
  std::vector<ReferenceFile> none_;
};

template <typename Number>
Number little_endian(const std::uint8_t* at) {
  Number value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) value |= static_cast<Number>(static_cast<Number>(at[i]) << (8 * i));
  return value;
}

// A record that is a page number and nothing else.
template <typename Number>
struct PageNumber {
  static constexpr std::size_t kBytes = sizeof(Number);
  static ReferenceEvent touch(const std::uint8_t* record) {
    ReferenceEvent event;
    event.page = little_endian<Number>(record);
    return event;
  }
};

}  // namespace faultline::trace
