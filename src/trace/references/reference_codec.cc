#include "trace/references/reference_codec.h"

#include <cstring>

#include "trace/varint_array.h"

namespace faultline::trace {
namespace {

constexpr std::size_t kPlaces = 1u << 16;  // at most half of them used
constexpr std::size_t kHead = 3 * sizeof(std::uint32_t);

std::size_t hash(std::uint64_t page) { return static_cast<std::size_t>((page * 0x9e3779b97f4a7c15u) >> 48); }

}  // namespace

ReferenceEncoder::ReferenceEncoder() : dictionary_(kDictionarySlots), places_(kPlaces) {
  low_.reserve(kReferencesPerBlock);
  high_.reserve(kReferencesPerBlock);
}

void ReferenceEncoder::rebuild() {
  places_.assign(kPlaces, Place{});
  places_used_ = filled_;
  for (std::uint32_t slot = 0; slot < filled_; ++slot) {
    std::size_t at = hash(dictionary_[slot]);
    while (places_[at].slot != kNewPage) at = (at + 1) % kPlaces;
    places_[at] = {dictionary_[slot], slot};
  }
}

std::uint32_t ReferenceEncoder::slot_of(std::uint64_t page) {
  std::size_t at = hash(page);
  for (; places_[at].slot != kNewPage; at = (at + 1) % kPlaces) {
    if (places_[at].page == page && dictionary_[places_[at].slot] == page) return places_[at].slot;
  }
  if (places_used_ >= kPlaces / 2) {
    rebuild();
    at = hash(page);
    while (places_[at].slot != kNewPage) at = (at + 1) % kPlaces;
  }
  dictionary_[next_slot_] = page;
  places_[at] = {page, next_slot_};
  ++places_used_;
  next_slot_ = next_slot_ + 1 == kDictionarySlots ? 0 : next_slot_ + 1;
  if (filled_ < kDictionarySlots) ++filled_;
  return kNewPage;
}

void ReferenceEncoder::add(const ReferenceEvent& event) {
  if (event.process != process_) {
    process_ = event.process;
    put(kCallToken, kSwitch);
    varint::put(calls_, process_);
  }
  ++events_;
  const auto kind = static_cast<std::uint32_t>(event.kind);
  if (is_touch(event.kind)) {
    const std::uint32_t slot = slot_of(event.page);
    put(kind, slot);
    if (slot == kNewPage) {
      varint::put_difference(pages_, event.page, last_page_);
      last_page_ = event.page;
    }
    return;
  }
  put(kCallToken, kind);
  varint::put_difference(calls_, event.page, last_call_page_);
  last_call_page_ = event.page;
  varint::put(calls_, event.pages);
  varint::put(calls_, event.file == kNoFile ? 0 : std::uint64_t{event.file} + 1);
  varint::put(calls_, event.file_page);
  varint::put(calls_, (event.protection & 7u) | (event.shared ? 8u : 0u));
}

std::vector<std::uint8_t> ReferenceEncoder::take() {
  const std::uint32_t head[3] = {static_cast<std::uint32_t>(low_.size()), static_cast<std::uint32_t>(pages_.size()),
                                 static_cast<std::uint32_t>(calls_.size())};
  std::vector<std::uint8_t> payload(kHead);
  std::memcpy(payload.data(), head, kHead);
  for (std::vector<std::uint8_t>* column : {&low_, &high_, &pages_, &calls_}) {
    payload.insert(payload.end(), column->begin(), column->end());
    column->clear();
  }
  filled_ = next_slot_ = events_ = process_ = 0;
  last_page_ = last_call_page_ = 0;
  rebuild();
  return payload;
}

ReferenceDecoder::ReferenceDecoder() : dictionary_(kDictionarySlots) {}

Result<void> ReferenceDecoder::begin(std::vector<std::uint8_t> payload) {
  payload_ = std::move(payload);
  at_ = tokens_ = 0;
  std::uint32_t head[3];
  if (payload_.size() < kHead) return fail(make_error("a block of references without a head"));
  std::memcpy(head, payload_.data(), kHead);
  if (kHead + 2 * std::uint64_t{head[0]} + head[1] + head[2] != payload_.size()) return fail(make_error("a block of references whose columns do not fill it"));
  tokens_ = head[0];
  low_ = payload_.data() + kHead;
  high_ = low_ + tokens_;
  pages_ = high_ + tokens_;
  calls_ = pages_end_ = pages_ + head[1];
  calls_end_ = calls_ + head[2];
  filled_ = next_slot_ = process_ = 0;
  last_page_ = last_call_page_ = 0;
  return {};
}

Result<void> ReferenceDecoder::call(std::uint32_t slot, ReferenceEvent& event) {
  varint::Input in({calls_, calls_end_});
  std::uint64_t file = 0, bits = 0;
  event.kind = static_cast<ReferenceKind>(slot);
  event.process = process_;
  event.page = last_call_page_;
  const bool whole = slot > static_cast<std::uint32_t>(ReferenceKind::execute) && slot <= static_cast<std::uint32_t>(ReferenceKind::move) &&
                     in.difference(event.page) && in.get(event.pages) && in.get(file) && in.get(event.file_page) && in.get(bits);
  if (!whole || file > kNoFile || bits > 15) return fail(make_error("token {}: not a call", at_));
  last_call_page_ = event.page;
  event.file = file == 0 ? kNoFile : static_cast<std::uint32_t>(file - 1);
  event.protection = bits & 7;
  event.shared = (bits & 8) != 0;
  calls_ = in.at;
  return {};
}

Result<std::size_t> ReferenceDecoder::next(std::span<ReferenceEvent> buffer) {
  std::size_t count = 0;
  std::size_t at = at_;
  ReferenceEvent touch;
  touch.process = process_;
  for (; at < tokens_ && count < buffer.size(); ++at) {
    const std::uint32_t token = low_[at] | std::uint32_t{high_[at]} << 8;
    const std::uint32_t kind = token >> 14, slot = token & kDictionarySlots;
    if (kind != kCallToken) {
      if (slot == kNewPage) {
        std::uint64_t step = 0;
        pages_ = wire::get_varint(pages_, pages_end_, step);
        if (pages_ == nullptr) return fail(make_error("token {}: a new page that is not there", at));
        last_page_ += static_cast<std::uint64_t>(wire::unzigzag(step));
        dictionary_[next_slot_] = last_page_;
        next_slot_ = next_slot_ + 1 == kDictionarySlots ? 0 : next_slot_ + 1;
        if (filled_ < kDictionarySlots) ++filled_;
        touch.page = last_page_;
      } else {
        if (slot >= filled_) return fail(make_error("token {}: page {} of {} in the dictionary", at, slot, filled_));
        touch.page = dictionary_[slot];
      }
      touch.kind = static_cast<ReferenceKind>(kind);
      buffer[count++] = touch;
      continue;
    }
    at_ = at;
    if (slot == kSwitch) {
      std::uint64_t process = 0;
      calls_ = wire::get_varint(calls_, calls_end_, process);
      if (calls_ == nullptr || process > 0xffffffff) return fail(make_error("token {}: not a process", at));
      process_ = touch.process = static_cast<std::uint32_t>(process);
      continue;
    }
    FL_CHECK(call(slot, buffer[count]));
    ++count;
  }
  at_ = at;
  return count;
}

}  // namespace faultline::trace
