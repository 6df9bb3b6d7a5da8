// Page numbers as little-endian u64, one a touch, nothing else.
#include "trace/references/importer.h"
#include "trace/references/record_input.h"

namespace faultline::trace {
namespace {

struct Pages64 {
  static constexpr std::size_t kBytes = sizeof(std::uint64_t);
  static ReferenceEvent touch(const std::uint8_t* record) {
    ReferenceEvent event;
    event.page = little_endian<std::uint64_t>(record);
    return event;
  }
};

Result<std::unique_ptr<ReferenceSource>> open(std::unique_ptr<ByteInput> input, const ImportOptions&) {
  return std::make_unique<RecordSource<Pages64>>(std::move(input));
}

// No bytes can tell that they are page numbers: such a file is never guessed.
FL_REGISTER_IMPORTER(pages64, "pages64", "touches of one process, all reads; no mappings", nullptr, open);

}  // namespace
}  // namespace faultline::trace
