// Arguments: the words behind a verb, read one after the other. Every refusal says what was wanted and what was found.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lab/lab_process.h"
#include "lab/quantity.h"
#include "lab/script.h"

namespace faultline::lab {

class Lab;

struct Range {
  std::uint64_t start = 0;
  std::uint64_t length = 0;  // bytes
};

class Arguments {
 public:
  Arguments(Lab& lab, const Statement& statement) : lab_(lab), statement_(statement) {}

  const std::string& verb() const { return statement_.verb; }
  const std::string& result_name() const { return statement_.name; }
  bool done() const { return at_ == statement_.words.size(); }
  std::string_view peek() const { return done() ? std::string_view() : std::string_view(statement_.words[at_]); }
  bool accept(std::string_view word);                         // takes it if it is next
  Result<std::string> word(std::string_view wanted);          // any word
  Result<std::string> new_name(std::string_view wanted);      // a name in its form
  Result<std::uint64_t> size(std::string_view wanted = "a size");
  Result<std::uint64_t> number(std::uint64_t low, std::uint64_t high, std::string_view wanted);
  // "a", "a+4096", "0x1000", "break+64K", "stack-8K": of the current process.
  Result<std::uint64_t> address(std::string_view wanted = "an address");
  // A block by its name: all of it. Any address with a length behind it. An address alone: default_length bytes; 0 refuses.
  Result<Range> range(std::uint64_t default_length = 0);
  Result<std::string> block_name(std::string_view wanted);    // of a block that lives in the current process
  Result<void> end() const;

 private:
  Result<std::uint64_t> evaluate(std::string_view expression, std::string_view wanted);
  Result<std::uint64_t> term(std::string_view word, std::string_view whole, std::string_view wanted);

  Lab& lab_;
  const Statement& statement_;
  std::size_t at_ = 0;
};

}  // namespace faultline::lab
