// Importers, and the blocks of reference streams, against any bytes. The first byte chooses which.
#include <cstdint>
#include <string>
#include <vector>

#include "base/assert.h"
#include "trace/references/importer.h"
#include "trace/references/reference_codec.h"
#include "trace/references/repeat_filter.h"

namespace {

using namespace faultline;
using namespace faultline::trace;

void drain(ReferenceSource& source, std::size_t most) {
  std::vector<ReferenceEvent> events(100);
  for (std::size_t got = 0; got < most;) {
    const auto count = source.next(events);
    if (!count) FL_ASSERT(count.error().message().find('\n') == std::string::npos);
    if (!count || *count == 0) return;
    got += *count;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::vector<std::uint8_t> bytes(data + 1, data + size);
  const auto& importers = Registry<ImporterDescriptor>::instance().entries();
  const std::size_t choice = data[0] % (importers.size() + 2);
  if (choice < importers.size()) {
    // 0 is text and 1 lackey, whatever else there is: the corpus begins with them.
    const ImporterDescriptor* importer = &importers[choice];
    for (const ImporterDescriptor& entry : importers)
      if ((choice == 0 && std::string(entry.name) == "text") || (choice == 1 && std::string(entry.name) == "lackey")) importer = &entry;
    if (importer->sniff != nullptr) (void)importer->sniff(bytes, "input");
    auto source = importer->open(ByteInput::of_bytes(bytes, "input"), {});
    if (!source) return 0;
    FilteredSource filtered(std::move(*source), 4);
    drain(filtered, 200'000);
    FL_ASSERT(filtered.rewind());
    drain(filtered, 1000);
  } else if (choice == importers.size()) {
    ReferenceNames names;
    (void)decode_names(bytes, names);
    (void)decode_origin(bytes);
  } else {
    ReferenceDecoder decoder;
    if (!decoder.begin(bytes)) return 0;
    std::vector<ReferenceEvent> events(100);
    while (true) {
      const auto count = decoder.next(events);
      if (!count || *count == 0) break;
    }
  }
  return 0;
}
