// Importers: from a file that somebody else's tool wrote to a ReferenceSource. One file each in importers/, registered at its end.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/registry.h"
#include "base/result.h"
#include "trace/references/byte_input.h"
#include "trace/references/reference.h"

namespace faultline::trace {

struct ImportOptions {
  std::uint32_t page_bytes = 4096;  // of addresses; formats of page numbers need none
};

struct ImporterDescriptor {
  const char* name;      // `faultline import NAME FILE`
  const char* provides;  // one line: what a stream of it says, and what not
  // From its first bytes, whether it is such a file; null where the bytes cannot tell. `path` as given, for its ending.
  bool (*sniff)(std::span<const std::uint8_t> head, std::string_view path);
  Result<std::unique_ptr<ReferenceSource>> (*open)(std::unique_ptr<ByteInput> input, const ImportOptions& options);
};

// By name, or by looking where the name is "auto". The source is unfiltered.
Result<std::unique_ptr<ReferenceSource>> open_import(const std::string& format, const std::string& path, const ImportOptions& options,
                                                     std::string* chosen = nullptr);

}  // namespace faultline::trace

// At the end of importers/NAME.cc, inside its anonymous namespace.
#define FL_REGISTER_IMPORTER(type, ...) \
  const ::faultline::Registration<::faultline::trace::ImporterDescriptor> fl_importer_##type({__VA_ARGS__})
