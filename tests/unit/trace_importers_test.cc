// Importers on files with known contents, and on files that are not what they should be.
#include <gtest/gtest.h>
#include <unistd.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>

#include "support/reference_sources.h"
#include "trace/references/importer.h"

namespace faultline::trace {
namespace {

const ImporterDescriptor& importer(std::string_view name) {
  for (const ImporterDescriptor& entry : Registry<ImporterDescriptor>::instance().entries())
    if (entry.name == name) return entry;
  throw std::runtime_error("no importer " + std::string(name));
}

std::unique_ptr<ReferenceSource> open(std::string_view name, const std::string& bytes, const ImportOptions& options = {}) {
  return std::move(*importer(name).open(ByteInput::of_bytes({bytes.begin(), bytes.end()}, "input"), options));
}

// Events before the error, and the error.
std::pair<std::size_t, std::string> until_error(ReferenceSource& source) {
  std::vector<ReferenceEvent> buffer(1);
  for (std::size_t events = 0;;) {
    const auto count = source.next(buffer);
    if (!count) return {events, count.error().message()};
    if (*count == 0) return {events, ""};
    events += *count;
  }
}

std::string compressed(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), 0);
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

template <typename Number>
void put(std::string& out, Number value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
}

TEST(Importers, EveryFileIsRegistered) { EXPECT_EQ(Registry<ImporterDescriptor>::instance().entries().size(), std::size_t{IMPORTER_FILES}); }

TEST(Importers, Text) {
  const std::string text = "# a comment\n\nR 1000\n  w 0x2fff # and one here\nX ffffffffffffffff\r\ni\t3000\nR 0XABCDE000";
  for (const std::string& input : {text, compressed(text)}) {
    const auto source = open("text", input);
    for (int pass = 0; pass < 2; ++pass) {
      EXPECT_EQ(drain(*source, 2), (std::vector<ReferenceEvent>{touch(ReferenceKind::read, 1), touch(ReferenceKind::write, 2),
                                                                touch(ReferenceKind::execute, 0xfffffffffffff),
                                                                touch(ReferenceKind::execute, 3), touch(ReferenceKind::read, 0xabcde)}));
      ASSERT_TRUE(source->rewind());
    }
    EXPECT_FALSE(source->has_mappings());
  }
}

TEST(Importers, TextSaysWhichLineIsBad) {
  for (const char* bad : {"Q 1000", "R", "R ", "R zzz", "R1000", "R 1000 5", "R 11112222333344445", "1000", "R 0x", "\x01\x02"}) {
    const auto source = open("text", std::string("R 1\nW 2\n# x\n") + bad + "\nR 5\n");
    const auto [events, error] = until_error(*source);
    EXPECT_EQ(events, 2u) << bad;
    EXPECT_NE(error.find("input: line 4: wanted"), std::string::npos) << bad << ": " << error;
  }
  const auto [events, error] = until_error(*open("text", "R 1\n" + std::string(3 << 20, 'x')));
  EXPECT_EQ(events, 1u);
  EXPECT_NE(error.find("line 2: longer"), std::string::npos) << error;
}

TEST(Importers, PageNumbers) {
  std::string narrow, wide;
  for (const std::uint64_t page : {0ull, 1ull, 0xffffffffull, 77ull}) put(narrow, static_cast<std::uint32_t>(page));
  for (const std::uint64_t page : {0ull, ~0ull, 0x100000000ull}) put(wide, page);
  EXPECT_EQ(drain(*open("pages32", narrow)), (std::vector<ReferenceEvent>{touch(ReferenceKind::read, 0), touch(ReferenceKind::read, 1),
                                                                          touch(ReferenceKind::read, 0xffffffff), touch(ReferenceKind::read, 77)}));
  EXPECT_EQ(drain(*open("pages64", compressed(wide))), (std::vector<ReferenceEvent>{touch(ReferenceKind::read, 0), touch(ReferenceKind::read, ~0ull),
                                                                                    touch(ReferenceKind::read, 0x100000000)}));
  const auto [events, error] = until_error(*open("pages64", wide + "abc"));
  EXPECT_EQ(events, 3u);
  EXPECT_NE(error.find("input: offset 24: wanted a record of 8 bytes, found 3"), std::string::npos) << error;
  const auto [none, cut] = until_error(*open("pages64", compressed(wide).substr(0, 12)));
  EXPECT_EQ(none, 0u);
  EXPECT_NE(cut.find("zstd"), std::string::npos) << cut;
}

TEST(Importers, OracleGeneral) {
  std::string bytes;
  const std::uint64_t objects[] = {5, 9, 5, ~0ull};
  const std::int64_t next[] = {2, -1, -1, std::numeric_limits<std::int64_t>::max()};
  for (int i = 0; i < 4; ++i) {
    put(bytes, static_cast<std::uint32_t>(100 + i));
    put(bytes, objects[i]);
    put(bytes, std::uint32_t{4096});
    put(bytes, next[i]);
  }
  EXPECT_EQ(drain(*open("oracle-general", bytes)), (std::vector<ReferenceEvent>{touch(ReferenceKind::read, 5), touch(ReferenceKind::read, 9),
                                                                                touch(ReferenceKind::read, 5), touch(ReferenceKind::read, ~0ull)}));
  const auto [events, error] = until_error(*open("oracle-general", bytes.substr(0, 95)));
  EXPECT_EQ(events, 3u);
  EXPECT_NE(error.find("offset 72"), std::string::npos) << error;
}

TEST(Importers, AutoLooksAtTheBytes) {
  const std::string path = std::filesystem::temp_directory_path() / ("faultline-import-" + std::to_string(getpid()));
  const auto look = [&](const std::string& bytes) -> std::string {
    std::ofstream(path, std::ios::binary) << bytes;
    std::string chosen;
    const auto source = open_import("auto", path, {}, &chosen);
    return source ? chosen : source.error().message();
  };
  EXPECT_EQ(look("# hello\nR 1000\nW 2000\n"), "text");
  EXPECT_EQ(look(compressed("R 1000\nW 2000\n")), "text");
  std::string records;
  for (std::int64_t i = 0; i < 10; ++i) {
    put(records, static_cast<std::uint32_t>(i / 3));
    put(records, std::uint64_t{7});
    put(records, std::uint32_t{1});
    put(records, i < 9 ? i + 1 : -1);
  }
  EXPECT_EQ(look(compressed(records)), "oracle-general");
  EXPECT_NE(look("some prose about nothing\n").find("name one of"), std::string::npos);
  EXPECT_NE(look("").find("name one of"), std::string::npos);
  EXPECT_FALSE(open_import("nonsense", path, {}));
  std::filesystem::remove(path);
  EXPECT_FALSE(open_import("text", path, {}));
  EXPECT_FALSE(open_import("text", "/", {}));
}

// Noise that resembles each format: events or one error of one line, never a crash.
TEST(Importers, AnyBytesGiveEventsOrOneError) {
  const std::string seeds[] = {"R 1000\nW 0x2000\nX 3 # x\n", " S 1fff0006e8,8\nI  0401ab70,3\n L 04033e06,1\n M 1,2\n",
                               "SYSCALL[1,1](9) sys_mmap ( 0x0, 8192, 3, 34, 4294967295, 0 ) --> [pre-success] Success(0x4835000) \n",
                               "==1== Command: a\n", std::string("\x28\xb5\x2f\xfd\0\0", 6), "SYSCALL[1,1](0) ... [async] --> Success(0x340) \n",
                               "SYSCALL[1,1](257) sys_openat ( 4294967196, 0x48(/etc/x), 524288 ) --> [async] ... \n"};
  std::mt19937 random(11);
  for (int round = 0; round < 4'000; ++round) {
    std::string bytes;
    while (bytes.size() < random() % 300) bytes += seeds[random() % std::size(seeds)];
    for (unsigned flips = random() % 6; flips-- > 0 && !bytes.empty();) bytes[random() % bytes.size()] = static_cast<char>(random());
    for (const ImporterDescriptor& entry : Registry<ImporterDescriptor>::instance().entries()) {
      if (entry.sniff != nullptr) (void)entry.sniff({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, "input");
      auto source = entry.open(ByteInput::of_bytes({bytes.begin(), bytes.end()}, "input"), {});
      if (!source) continue;
      const auto [events, error] = until_error(**source);
      ASSERT_LT(events, 1'000'000u);
      ASSERT_EQ(error.find('\n'), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace faultline::trace
