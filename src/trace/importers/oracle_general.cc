// oracleGeneral, the binary traces of libCacheSim: records of 24 bytes, little endian: u32 time in seconds, u64 object, u32 size,
// i64 position of the object's next access (-1 or 2^63-1: none). An object is a page, whatever its size: each access is one
// reference, so that miss counts are those of libCacheSim run with --ignore-obj-size.
#include <algorithm>

#include "trace/references/importer.h"
#include "trace/references/record_input.h"

namespace faultline::trace {
namespace {

struct OracleGeneral {
  static constexpr std::size_t kBytes = 24;
  static ReferenceEvent touch(const std::uint8_t* record) {
    ReferenceEvent event;
    event.page = little_endian<std::uint64_t>(record + 4);
    return event;
  }
};

// By name, as its users name it, or by its times, which never fall, and its next accesses, which lie ahead.
bool sniff(std::span<const std::uint8_t> head, std::string_view path) {
  if (path.find("oracleGeneral") != std::string_view::npos) return true;
  const std::size_t records = head.size() / OracleGeneral::kBytes;
  if (records < 4) return false;
  std::uint32_t before = 0;
  for (std::size_t i = 0; i < records; ++i) {
    const std::uint8_t* record = head.data() + i * OracleGeneral::kBytes;
    const auto time = little_endian<std::uint32_t>(record);
    const auto next = static_cast<std::int64_t>(little_endian<std::uint64_t>(record + 16));
    if (time < before || (next != -1 && next <= static_cast<std::int64_t>(i))) return false;
    before = time;
  }
  return true;
}

Result<std::unique_ptr<ReferenceSource>> open(std::unique_ptr<ByteInput> input, const ImportOptions&) {
  return std::make_unique<RecordSource<OracleGeneral>>(std::move(input));
}

FL_REGISTER_IMPORTER(oracle_general, "oracle-general", "accesses to objects as reads of pages; no times, sizes or mappings", sniff, open);

}  // namespace
}  // namespace faultline::trace
