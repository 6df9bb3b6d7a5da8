// Every event of a reference stream as a line, for tests: process, kind, page, pages, file, file page.
#include <cstdio>

#include "trace/references/reference_file.h"

int main(int, char** words) {
  using namespace faultline::trace;
  const auto file = ReferenceStreamFile::open(words[1]);
  if (!file) return std::fprintf(stderr, "%s\n", file.error().message().c_str()), 2;
  static const char* const kKinds[] = {"R", "W", "X", "map", "unmap", "discard", "protect", "file_read", "file_write", "fork", "exit", "move"};
  std::vector<ReferenceEvent> events(1000);
  for (;;) {
    const auto count = (*file)->next(events);
    if (!count) return std::fprintf(stderr, "%s\n", count.error().message().c_str()), 2;
    if (*count == 0) return 0;
    for (std::size_t i = 0; i < *count; ++i) {
      const ReferenceEvent& event = events[i];
      std::printf("%u\t%s\t%llx\t%llx\t%s\t%llx\n", event.process, kKinds[static_cast<int>(event.kind)], static_cast<unsigned long long>(event.page),
                  static_cast<unsigned long long>(event.pages), event.file == kNoFile ? "-" : (*file)->files()[event.file].path.c_str(),
                  static_cast<unsigned long long>(event.file_page));
    }
  }
}
