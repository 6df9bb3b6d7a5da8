// Patterns: small programs written once, run twice: by the real kernel under a real limit (limits_program), and as a reference stream
// in the twin (limits_predict).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace faultline::bench {

// What a pattern may do. Regions are numbered by the pattern; pages are 4 KiB.
class PatternSink {
 public:
  virtual ~PatternSink() = default;
  virtual void map(unsigned region, std::uint64_t pages) = 0;          // anonymous, private
  virtual void map_file(unsigned region, std::uint64_t pages) = 0;     // of the file, shared, for reading
  virtual void unmap(unsigned region) = 0;
  virtual void touch(unsigned region, std::uint64_t page, bool write) = 0;
  virtual void read_file(std::uint64_t page, std::uint64_t pages) = 0;  // pread(2) of the file
  virtual void fork(const std::function<void()>& child) = 0;           // the parent waits for it
};

// A fixed generator: both runs draw the same numbers.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 88172645463325252) {}
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  double unit() { return static_cast<double>(next() >> 11) / 9007199254740992.0; }

 private:
  std::uint64_t state_;
};

struct Pattern {
  std::string_view name;
  bool tuning;                // the model was looked at with it
  std::uint64_t pages;        // it wants at most, roughly: limits are shares of it
  std::uint64_t file_pages;   // of the file it uses; 0: none
  void (*run)(PatternSink& sink, Draw& draw);
};

std::span<const Pattern> patterns();

}  // namespace faultline::bench
