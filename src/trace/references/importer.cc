#include "trace/references/importer.h"

namespace faultline::trace {
namespace {

constexpr std::size_t kLook = 4096;

std::string names() {
  std::string out;
  for (const ImporterDescriptor& importer : Registry<ImporterDescriptor>::instance().entries()) out += std::string(importer.name) + ", ";
  return out + "auto";
}

}  // namespace

Result<std::unique_ptr<ReferenceSource>> open_import(const std::string& format, const std::string& path, const ImportOptions& options,
                                                     std::string* chosen) {
  const ImporterDescriptor* found = nullptr;
  for (const ImporterDescriptor& importer : Registry<ImporterDescriptor>::instance().entries())
    if (format == importer.name) found = &importer;
  if (found == nullptr && format != "auto") return fail(make_error("unknown format '{}'; wanted one of {}", format, names()));
  FL_TRY(std::unique_ptr<ByteInput> input, ByteInput::open(path));
  if (found == nullptr) {
    FL_TRY(const std::span<const std::uint8_t> head, input->peek(kLook));
    for (const ImporterDescriptor& importer : Registry<ImporterDescriptor>::instance().entries()) {
      if (importer.sniff == nullptr || !importer.sniff(head, path)) continue;
      if (found != nullptr) return fail(make_error("{}: could be {} and {}: name the format", input->name(), found->name, importer.name));
      found = &importer;
    }
    if (found == nullptr) return fail(make_error("{}: wanted a known format, found none in its first {} bytes; name one of {}", input->name(), kLook, names()));
  }
  if (chosen != nullptr) *chosen = found->name;
  return found->open(std::move(input), options);
}

}  // namespace faultline::trace
