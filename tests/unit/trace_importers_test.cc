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

constexpr const char* kBanner = "==7== Lackey, an example Valgrind tool\n==7== Command: prog an\\ argument\n==7== \n";

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
  EXPECT_EQ(look("I  0401ab70,3\n S 1fff0006e8,8\n"), "lackey");
  EXPECT_EQ(look(kBanner), "lackey");
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

TEST(Importers, LackeyTouches) {
  const auto source = open("lackey", std::string(kBanner) + "I  0401affe,3\n S 1fff000ff8,16\n L 04033e06,1\n M 04033e06,8\n--7-- a warning\nI  00000fff,1");
  for (int pass = 0; pass < 2; ++pass) {
    EXPECT_EQ(drain(*source, 3), (std::vector<ReferenceEvent>{touch(ReferenceKind::execute, 0x401a), touch(ReferenceKind::execute, 0x401b),
                                                              touch(ReferenceKind::write, 0x1fff000), touch(ReferenceKind::write, 0x1fff001),
                                                              touch(ReferenceKind::read, 0x4033), touch(ReferenceKind::write, 0x4033),
                                                              touch(ReferenceKind::execute, 0)}));
    EXPECT_FALSE(source->has_mappings());
    ASSERT_EQ(source->processes().size(), 1u);
    EXPECT_EQ(source->processes()[0].pid, 7);
    EXPECT_EQ(source->processes()[0].command, "prog an argument");
    ASSERT_TRUE(source->rewind());
  }
  for (const char* bad : {"I  zzz,3", " S 1fff0006e8", " S 1fff0006e8,", " S 1fff0006e8,x", "I 0401,3", " Q 1,2", "hello", "I  ffffffffffffffff,8"}) {
    const auto [events, error] = until_error(*open("lackey", "I  1000,1\nI  1000,1\n" + std::string(bad) + "\nI  1000,1\n"));
    EXPECT_EQ(events, 2u) << bad;
    EXPECT_NE(error.find("line 3: wanted a line of lackey"), std::string::npos) << bad << ": " << error;
  }
}

ReferenceEvent call(ReferenceKind kind, std::uint64_t page, std::uint64_t pages, std::uint32_t file = kNoFile, std::uint64_t file_page = 0,
                    std::uint8_t protection = 3, bool shared = false) {
  return {kind, protection, shared, 0, file, page, pages, file_page};
}

TEST(Importers, LackeyCalls) {
  const std::string log = std::string(kBanner) +
      "SYSCALL[7,1](257) sys_openat ( 4294967196, 0x4834(/nowhere/a ), b), 524288 ) --> [async] ... \n"
      "SYSCALL[7,2](9) sys_mmap ( 0x0, 8192, 3, 34, 4294967295, 0 ) --> [pre-success] Success(0x700000) \n"  // another thread in between
      "SYSCALL[7,1](257) ... [async] --> Success(0x3) \n"
      "SYSCALL[7,1](9) sys_mmap ( 0x0, 16400, 1, 2050, 3, 4096 ) --> [pre-success] Success(0x800000) \n"
      "SYSCALL[7,1](9) sys_mmap ( 0x0, 4096, 1, 2050, 3, 4096 ) --> [pre-fail] Failure(0xc) \n"
      "SYSCALL[7,1](0) sys_read ( 3, 0x700ff0, 100 ) --> [async] ... \n"
      "SYSCALL[7,1](0) ... [async] --> Success(0x20) \n"
      "SYSCALL[7,1](8) sys_lseek ( 3, 4090, 0 )[sync] --> Success(0xffa) \n"
      "SYSCALL[7,1](32) sys_dup ( 3 )[sync] --> Success(0x4) \n"
      "SYSCALL[7,1](3) sys_close ( 3 )[sync] --> Success(0x0) \n"
      "SYSCALL[7,1](0) sys_read ( 4, 0x700000, 10 )[sync] --> Success(0xa) \n"
      "SYSCALL[7,1](18) sys_pwrite64 ( 4, 0x700000, 4096, 40960 )[sync] --> Success(0x1000) \n"
      "SYSCALL[7,1](12) sys_brk ( 0x0 ) --> [pre-success] Success(0x4035000) \n"
      "SYSCALL[7,1](12) sys_brk ( 0x4037800 ) --> [pre-success] Success(0x4037800) \n"
      "SYSCALL[7,1](12) sys_brk ( 0x4036000 ) --> [pre-success] Success(0x4036000) \n"
      "SYSCALL[7,1](10) sys_mprotect ( 0x800000, 4096, 1 )[sync] --> Success(0x0) \n"
      "SYSCALL[7,1](28) sys_madvise ( 0x700000, 4096, 4 )[sync] --> Success(0x0) \n"
      "SYSCALL[7,1](25) sys_mremap ( 0x700000, 8192, 12288, 0x1 ) --> [pre-success] Success(0x900000) \n"
      "SYSCALL[7,1](25) sys_mremap ( 0x900000, 12288, 4096, 0x1 ) --> [pre-success] Success(0x900000) \n"
      "SYSCALL[7,1](11) sys_munmap ( 0x801000, 8000 )[sync] --> Success(0x0) \n"
      "SYSCALL[7,1](334) unimplemented (by the kernel) syscall: 334! (ni_syscall)\n --> [pre-fail] Failure(0x26) \n"
      " L 00803000,8\n L 00801000,8\n"
      "SYSCALL[7,1](231) exit_group( 0 ) --> [pre-success] Success(0x0) \nI  00001000,1\n";
  using K = ReferenceKind;
  const auto source = open("lackey", log);
  EXPECT_TRUE(source->has_mappings());
  const std::vector<ReferenceEvent> wanted{
      call(K::map, 0x700, 2),
      call(K::map, 0x800, 5, 0, 1, 1),
      call(K::file_read, 0, 1, 0, 0),
      touch(K::write, 0x700), touch(K::write, 0x701),
      call(K::file_read, 0, 2, 0, 0),  // through the copy, whose position is shared, across a page's end
      touch(K::write, 0x700),
      call(K::file_write, 10, 1, 0, 10),
      touch(K::read, 0x700),
      call(K::map, 0x4035, 3),
      call(K::unmap, 0x4036, 2),
      call(K::protect, 0x800, 1, kNoFile, 0, 1),
      call(K::discard, 0x700, 1),
      call(K::move, 0x700, 2, kNoFile, 0x900),
      call(K::map, 0x902, 1),
      call(K::unmap, 0x901, 2),
      call(K::unmap, 0x801, 2),
      touch(K::read, 0x803),
      call(K::map, 0x801, 1),  // no call had mapped it
      touch(K::read, 0x801),
      call(K::exit, 0, 1)};
  const std::vector<ReferenceEvent> got = drain(*source, 5);
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i], wanted[i]) << i << ": kind " << static_cast<int>(got[i].kind) << " page " << got[i].page << " pages " << got[i].pages;
  }
  ASSERT_EQ(source->files().size(), 1u);
  EXPECT_EQ(source->files()[0].path, "/nowhere/a ), b");
  EXPECT_EQ(source->files()[0].pages, 11u);  // as far as it was seen to reach
  ASSERT_EQ(source->remarks().size(), 1u);
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
