// Layout of the payloads of a reference stream (file_format.h has the blocks). A block of references stands alone:
//
//   u32 tokens, u32 bytes of new pages, u32 bytes of calls; then four columns, because each compresses best alone:
//   low bytes of the tokens, their high bytes, new pages, calls.
//
// A token is 16 bits: 2 of kind (read, write, execute, call), 14 of slot. For a touch the slot names a page in a dictionary of the
// last 16383 different pages, filled in a circle; kNewPage adds one: the difference to the one added before, as a zigzag varint.
// For a call the slot is the ReferenceKind and the arguments are varints in their column; kSwitch sets the process of what follows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/references/reference.h"

namespace faultline::trace {

inline constexpr std::uint32_t kDictionarySlots = (1u << 14) - 1;
inline constexpr std::uint32_t kNewPage = kDictionarySlots;
inline constexpr std::uint32_t kCallToken = 3;
inline constexpr std::uint32_t kSwitch = 32;
inline constexpr std::size_t kReferencesPerBlock = 1u << 20;

class ReferenceEncoder {
 public:
  ReferenceEncoder();
  void add(const ReferenceEvent& event);
  std::uint32_t events() const { return events_; }
  std::vector<std::uint8_t> take();  // the payload; the encoder begins anew

 private:
  struct Place {
    std::uint64_t page = 0;
    std::uint32_t slot = kNewPage;  // kNewPage: nothing here
  };
  std::uint32_t slot_of(std::uint64_t page);  // kNewPage: not in the dictionary, and now it is
  void rebuild();
  void put(std::uint32_t kind, std::uint32_t slot) {
    low_.push_back(static_cast<std::uint8_t>(slot));
    high_.push_back(static_cast<std::uint8_t>(kind << 6 | slot >> 8));
  }

  std::vector<std::uint8_t> low_, high_, pages_, calls_;
  std::vector<std::uint64_t> dictionary_;  // by slot
  std::vector<Place> places_;              // page to slot; a place whose slot holds another page by now is stale
  std::uint32_t filled_ = 0, next_slot_ = 0, places_used_ = 0;
  std::uint64_t last_page_ = 0, last_call_page_ = 0;
  std::uint32_t process_ = 0, events_ = 0;
};

// Any bytes give events or one error.
class ReferenceDecoder {
 public:
  ReferenceDecoder();
  Result<void> begin(std::vector<std::uint8_t> payload);
  std::vector<std::uint8_t> release() { return std::move(payload_); }  // the buffer, for the next block
  // At most what the buffer holds; 0 at the end of the block.
  Result<std::size_t> next(std::span<ReferenceEvent> buffer);

 private:
  Result<void> call(std::uint32_t slot, ReferenceEvent& event);

  std::vector<std::uint8_t> payload_;
  const std::uint8_t* low_ = nullptr;
  const std::uint8_t* high_ = nullptr;
  const std::uint8_t* pages_ = nullptr;
  const std::uint8_t* pages_end_ = nullptr;
  const std::uint8_t* calls_ = nullptr;
  const std::uint8_t* calls_end_ = nullptr;
  std::size_t at_ = 0, tokens_ = 0;
  std::vector<std::uint64_t> dictionary_;
  std::uint32_t filled_ = 0, next_slot_ = 0;
  std::uint64_t last_page_ = 0, last_call_page_ = 0;
  std::uint32_t process_ = 0;
};

struct ReferenceOrigin {
  std::string format;    // an importer's name, or "valgrind" for a stream made by record
  std::string source;    // the file, or the command
  std::uint32_t window = 1;
  bool mappings = false;
};

std::vector<std::uint8_t> encode(const ReferenceOrigin& origin);
Result<ReferenceOrigin> decode_origin(std::span<const std::uint8_t> payload);

struct ReferenceNames {
  std::vector<ReferenceFile> files;
  std::vector<ReferenceProcess> processes;
  std::vector<std::string> remarks;
  bool operator==(const ReferenceNames&) const = default;
};

// What `now` has that `before` has not, or has otherwise.
std::vector<std::uint8_t> encode(const ReferenceNames& before, const ReferenceNames& now);
Result<void> decode_names(std::span<const std::uint8_t> payload, ReferenceNames& names);

}  // namespace faultline::trace
