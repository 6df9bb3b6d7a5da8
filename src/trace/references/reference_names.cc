// Where a stream comes from, and the names in it: files, processes, remarks.
#include "trace/references/reference_codec.h"
#include "trace/varint_array.h"

namespace faultline::trace {
namespace {

void put_text(std::vector<std::uint8_t>& out, const std::string& text) {
  varint::put(out, text.size());
  out.insert(out.end(), text.begin(), text.end());
}

constexpr std::uint64_t kMostNames = 1u << 24;  // more in a block is damage, not a wish

}  // namespace

std::vector<std::uint8_t> encode(const ReferenceOrigin& origin) {
  std::vector<std::uint8_t> out;
  put_text(out, origin.format);
  put_text(out, origin.source);
  varint::put(out, origin.window);
  varint::put(out, origin.mappings ? 1 : 0);
  return out;
}

Result<ReferenceOrigin> decode_origin(std::span<const std::uint8_t> payload) {
  ReferenceOrigin origin;
  varint::Input in(payload);
  std::uint64_t mappings = 0;
  if (!in.text(origin.format) || !in.text(origin.source) || !in.get32(origin.window) || !in.get(mappings)) {
    return fail(make_error("a stream's origin cannot be read"));
  }
  origin.mappings = mappings != 0;
  return origin;
}

std::vector<std::uint8_t> encode(const ReferenceNames& before, const ReferenceNames& now) {
  std::vector<std::uint8_t> out;
  const auto each_new = [&](const auto& old, const auto& list, auto&& put_one) {
    std::vector<std::size_t> changed;
    for (std::size_t i = 0; i < list.size(); ++i)
      if (i >= old.size() || !(old[i] == list[i])) changed.push_back(i);
    varint::put(out, changed.size());
    for (const std::size_t i : changed) {
      varint::put(out, i);
      put_one(list[i]);
    }
  };
  each_new(before.files, now.files, [&](const ReferenceFile& file) {
    put_text(out, file.path);
    varint::put(out, file.pages);
  });
  each_new(before.processes, now.processes, [&](const ReferenceProcess& process) {
    varint::put(out, static_cast<std::uint32_t>(process.pid));
    put_text(out, process.command);
  });
  each_new(before.remarks, now.remarks, [&](const std::string& remark) { put_text(out, remark); });
  return out;
}

Result<void> decode_names(std::span<const std::uint8_t> payload, ReferenceNames& names) {
  varint::Input in(payload);
  const auto each = [&](auto& list, auto&& get_one) {
    std::uint64_t count = 0;
    if (!in.get(count)) return false;
    for (std::uint64_t i = 0; i < count; ++i) {
      std::uint64_t index = 0;
      if (!in.get(index) || index > kMostNames || index > list.size()) return false;  // none is skipped
      if (index == list.size()) list.emplace_back();
      if (!get_one(list[index])) return false;
    }
    return true;
  };
  const bool whole = each(names.files, [&](ReferenceFile& file) { return in.text(file.path) && in.get(file.pages); }) &&
                     each(names.processes, [&](ReferenceProcess& process) {
                       std::uint32_t pid = 0;
                       if (!in.get32(pid)) return false;
                       process.pid = static_cast<std::int32_t>(pid);
                       return in.text(process.command);
                     }) &&
                     each(names.remarks, [&](std::string& remark) { return in.text(remark); });
  if (!whole) return fail(make_error("a stream's names cannot be read"));
  return {};
}

}  // namespace faultline::trace
