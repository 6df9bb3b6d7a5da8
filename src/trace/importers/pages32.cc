// Page numbers as little-endian u32, one a touch, nothing else.
#include "trace/references/importer.h"
#include "trace/references/record_input.h"

namespace faultline::trace {
namespace {

Result<std::unique_ptr<ReferenceSource>> open(std::unique_ptr<ByteInput> input, const ImportOptions&) {
  return std::make_unique<RecordSource<PageNumber<std::uint32_t>>>(std::move(input));
}

// No bytes can tell that they are page numbers: such a file is never guessed.
FL_REGISTER_IMPORTER(pages32, "pages32", "touches of one process, all reads; no mappings", nullptr, open);

}  // namespace
}  // namespace faultline::trace
