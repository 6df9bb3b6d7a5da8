#include "trace/cached_file_codec.h"

#include "trace/varint_array.h"

namespace faultline::trace {

using varint::Input;
using varint::put;

namespace {

constexpr std::uint8_t kLargestOrder = 9;

// Neighbours of one order are one run: how far behind the one before, how many, order << 2 | marker << 1 | dirty.
void put_folios(const std::vector<CachedFolio>& folios, std::vector<std::uint8_t>& out) {
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < folios.size();) {
    const CachedFolio& first = folios[i];
    const std::uint64_t pages = std::uint64_t{1} << first.order;
    std::size_t run = 1;
    while (i + run < folios.size() && folios[i + run] == CachedFolio{first.first + run * pages, first.order, first.marker, first.dirty}) ++run;
    put(out, first.first - end);
    put(out, run);
    put(out, static_cast<std::uint64_t>(first.order) << 2 | (first.marker ? 2 : 0) | (first.dirty ? 1 : 0));
    end = first.first + run * pages;
    i += run;
  }
}

bool get_folios(Input& in, std::uint64_t count, std::uint64_t file_pages, std::vector<CachedFolio>& folios) {
  std::uint64_t end = 0;
  while (folios.size() < count) {
    std::uint64_t gap = 0, run = 0, kind = 0;
    if (!in.get(gap) || !in.get(run) || !in.get(kind) || kind >> 2 > kLargestOrder) return false;
    const std::uint64_t pages = std::uint64_t{1} << (kind >> 2);
    if (run == 0 || run > count - folios.size() || gap > file_pages || end + gap > file_pages) return false;
    for (std::uint64_t i = 0; i < run; ++i) {
      const std::uint64_t first = end + gap + i * pages;
      if (first >= file_pages || first % pages != 0) return false;
      folios.push_back({first, static_cast<std::uint8_t>(kind >> 2), (kind & 2) != 0, (kind & 1) != 0});
    }
    end += gap + run * pages;
  }
  return true;
}

}  // namespace

void encode_file(const CachedFile& file, std::vector<std::uint8_t>& out) {
  put(out, file.path.size());
  out.insert(out.end(), file.path.begin(), file.path.end());
  put(out, file.device);
  put(out, file.inode);
  put(out, file.size_bytes);
  put(out, (file.memory_only ? 1 : 0) | (file.folios_known ? 2 : 0));
  put(out, file.max_order);
  put(out, file.window_pages);
  put(out, file.request_pages);
  put(out, file.folios.size());
  put_folios(file.folios, out);
}

bool decode_files(std::span<const std::uint8_t> bytes, std::vector<CachedFile>& out) {
  Input in(bytes);
  while (in.more()) {
    CachedFile file;
    std::uint64_t flags = 0, order = 0, folios = 0;
    if (!in.text(file.path) || !in.get32(file.device) || !in.get(file.inode) || !in.get(file.size_bytes) || !in.get(flags)) return false;
    if (!in.get(order) || order > kLargestOrder || !in.get32(file.window_pages) || !in.get32(file.request_pages) || !in.get(folios)) return false;
    if (file.size_bytes >> 62 != 0) return false;
    file.memory_only = (flags & 1) != 0;
    file.folios_known = (flags & 2) != 0;
    file.max_order = static_cast<std::uint8_t>(order);
    if (!get_folios(in, folios, (file.size_bytes + 4095) / 4096, file.folios)) return false;
    out.push_back(std::move(file));
  }
  return true;
}

}  // namespace faultline::trace
