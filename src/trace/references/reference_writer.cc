#include "trace/references/reference_writer.h"

namespace faultline::trace {
namespace {

BlockHeader header_of(BlockKind kind) {
  BlockHeader header{};
  header.kind = static_cast<std::uint16_t>(kind);
  return header;
}

}  // namespace

Result<ReferenceWriter> ReferenceWriter::create(const std::string& path, const ReferenceOrigin& origin) {
  FL_TRY(BlockWriter blocks, BlockWriter::create(path, kReferenceStreamType));
  ReferenceWriter writer(std::move(blocks));
  if (!writer.blocks_.append(header_of(BlockKind::reference_origin), encode(origin))) return fail(Error(writer.failure()));
  return writer;
}

void ReferenceWriter::note_names(const ReferenceSource& source) {
  if (names_.files != source.files()) names_.files = source.files();
  if (names_.processes != source.processes()) names_.processes = source.processes();
  dropped_ = source.dropped();
}

bool ReferenceWriter::add(std::span<const ReferenceEvent> events, const ReferenceSource& source) {
  note_names(source);
  for (const ReferenceEvent& event : events) {
    encoder_.add(event);
    if (is_touch(event.kind)) ++touches_;
    if (encoder_.events() >= kReferencesPerBlock && !flush()) return false;
  }
  return failure().empty();
}

bool ReferenceWriter::flush() {
  if (names_ != written_) {
    if (!blocks_.append(header_of(BlockKind::reference_names), encode(written_, names_))) return false;
    written_ = names_;
  }
  if (encoder_.events() == 0 && dropped_ == dropped_before_) return failure().empty();
  BlockHeader header = header_of(BlockKind::references);
  header.sequence = events_;
  header.events = encoder_.events();
  header.first_time = dropped_before_;
  header.last_time = dropped_;
  events_ += header.events;
  dropped_before_ = dropped_;
  return blocks_.append(header, encoder_.take());
}

bool ReferenceWriter::finish(const ReferenceSource& source) {
  note_names(source);
  names_.remarks = source.remarks();
  return flush() && blocks_.append(header_of(BlockKind::end), {});
}

Result<void> write_all(ReferenceSource& source, ReferenceWriter& writer) {
  std::vector<ReferenceEvent> events(1u << 14);
  for (;;) {
    FL_TRY(const std::size_t count, source.next(events));
    if (count == 0) break;
    if (!writer.add({events.data(), count}, source)) return fail(Error(writer.failure()));
  }
  if (!writer.finish(source)) return fail(Error(writer.failure()));
  return {};
}

}  // namespace faultline::trace
