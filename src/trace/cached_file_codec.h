// Payload of the files block: every CachedFile of a recording, as varints.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trace/cached_file.h"

namespace faultline::trace {

void encode_file(const CachedFile& file, std::vector<std::uint8_t>& out);  // appends
// False if the bytes are no such array; out then holds what came before. Folios come ascending and within their file.
bool decode_files(std::span<const std::uint8_t> bytes, std::vector<CachedFile>& out);

}  // namespace faultline::trace
