// The lab's language: words, names, sizes, repetitions, and what it says of nonsense.
#include <gtest/gtest.h>

#include "lab/lab.h"
#include "lab/quantity.h"
#include "lab/script.h"

namespace faultline::lab {
namespace {

Statement parsed(std::string_view line) {
  const auto statement = parse_line(line);
  EXPECT_TRUE(statement) << line;
  return statement && *statement ? **statement : Statement{};
}

std::string refusal(std::string_view line) {
  const auto statement = parse_line(line);
  return statement ? "accepted" : statement.error().message();
}

TEST(LabScript, LinesBecomeStatements) {
  EXPECT_EQ(parsed("a = malloc 30K  # thirty"), (Statement{1, "a", "malloc", {"30K"}}));
  EXPECT_EQ(parsed("\ttouch a+4096 8K\r"), (Statement{1, "", "touch", {"a+4096", "8K"}}));
  EXPECT_EQ(parsed("exec \"/tmp/my prog\" -x"), (Statement{1, "", "exec", {"/tmp/my prog", "-x"}}));
  EXPECT_EQ(parsed("repeat 3 a% = malloc 1K"), (Statement{3, "a%", "malloc", {"1K"}}));
  EXPECT_EQ(parsed("repeat 3 a% = malloc %K").iteration(2), (Statement{1, "a2", "malloc", {"2K"}}));
  EXPECT_EQ(*parse_line("   "), std::nullopt);
  EXPECT_EQ(*parse_line("# only words"), std::nullopt);
}

TEST(LabScript, NonsenseIsRefusedInOneLine) {
  EXPECT_EQ(refusal("9a = malloc 1"), "wanted a name such as a or block2 before =, found '9a'");
  EXPECT_EQ(refusal("break = malloc 1"), "wanted a name such as a or block2 before =, found 'break'");
  EXPECT_EQ(refusal("a ="), "wanted a command behind =, found nothing");
  EXPECT_EQ(refusal("exec \"x"), "wanted a closing \", found the end of the line");
  EXPECT_EQ(refusal("repeat 0 show"), "wanted a number of repetitions from 1 to 10000, found '0'");
  EXPECT_EQ(refusal("repeat 2 repeat 2 show"), "wanted a command behind repeat, found another repeat");
  EXPECT_EQ(refusal(std::string("a\0b", 3)), "wanted text, found byte 0x00 at column 2");
  EXPECT_EQ(refusal(std::string(2000, 'x')), "wanted a line of at most 1000 bytes, found 2000");
}

TEST(LabScript, SizesAreExact) {
  EXPECT_EQ(*parse_size("30K"), 30u * 1024);
  EXPECT_EQ(*parse_size("4MiB"), 4u << 20);
  EXPECT_EQ(*parse_size("0x1000"), 4096u);
  EXPECT_EQ(*parse_size("18446744073709551615"), ~std::uint64_t{0});
  for (const char* wrong : {"", "K", "-1", "1.5K", "30KB", "0x", "18446744073709551616", "16777216T", "1K1"}) {
    EXPECT_FALSE(parse_size(wrong)) << wrong;
  }
  EXPECT_EQ(*parse_limit("unlimited"), ~std::uint64_t{0});
  EXPECT_EQ(size_text(0), "0 bytes");
  EXPECT_EQ(size_text(30 * 1024), "30 KiB");
  EXPECT_EQ(size_text(30736), "30736 bytes");
  EXPECT_EQ(size_text(std::uint64_t{1} << 50), "1024 TiB");
  EXPECT_EQ(about_text(4096), "4.0 KiB");
  EXPECT_EQ(about_text(~std::uint64_t{0}), "16777215.9 TiB");
}

struct LabTest : testing::Test {
  std::string out;
  Lab lab{LabOptions{}, [this](std::string_view text) { out += text; }};

  std::string run(std::string_view script) {
    const auto ended = lab.run_script(script, "s");
    if (!ended) return ended.error().message();
    if (lab.has_machine()) lab.machine().check_invariants();
    return *ended == Lab::Next::expectation_failed ? "expectation failed" : "done";
  }
};

TEST_F(LabTest, ErrorsSayWhere) {
  EXPECT_EQ(run("\nfrobnicate\n"), "s:2: wanted a command, found 'frobnicate': `help` lists them");
  EXPECT_EQ(run("malloc lots"), "s:1: malloc: wanted a size such as 30K, 4M or 4096, found 'lots'");
  EXPECT_EQ(run("free nobody"), "s:1: free: wanted a block of malloc's, found 'nobody': process main has no block of that name");
  EXPECT_EQ(run("a = malloc 1K\nfree a now"), "s:2: free: wanted the end of the line, found 'now'");
  EXPECT_EQ(run("b = touch a"), "s:1: wanted touch without a name in front, found 'b ='");
  EXPECT_EQ(run("touch 0x1000 100T"), "s:1: touch: wanted at most 4 GiB at once, found 100 TiB");
  EXPECT_EQ(run("touch 0xffffffffffffffff 16"), "s:1: touch: wanted a range that ends below 2^64, found 0xffffffffffffffff and 16 bytes");
  EXPECT_EQ(run("limit frames 100"), "s:1: limit frames: wanted before anything runs, found a machine at work");
  EXPECT_EQ(run("exec /nonexistent/program"), "s:1: /nonexistent/program: wanted a program to read, found: No such file or directory");
  EXPECT_EQ(run("exec /dev/zero"), "s:1: /dev/zero: wanted a regular file, found something else");
}

TEST_F(LabTest, ExpectationsFailWithWhatWasFound) {
  EXPECT_EQ(run("a = malloc 30K\nexpect brk 1\nexpect minflt 0"), "expectation failed");
  EXPECT_NE(out.find("  expected minflt 0, found "), std::string::npos) << out;
  EXPECT_NE(out.find("s:3: the expectation failed"), std::string::npos) << out;
}

TEST_F(LabTest, AForkedHeapGoesOnInBoth) {
  EXPECT_EQ(run("a = malloc 30K\nb = malloc 1K\nc = malloc 200K\nfree b\nfork child\nd = malloc 1K\ne = malloc 300K\nuse child\n"
                "x = malloc 1K\nfree a\nfree c\nexpect munmap 1\nuse main\nfree c\nfree d\nfree a\nexpect error none"),
            "done");
  EXPECT_NE(out.find("x = 0x"), std::string::npos);
  const std::string d = out.substr(out.find("d = ") + 4, 10), x = out.substr(out.find("x = ") + 4, 10);
  EXPECT_EQ(d, x) << "the same call gives the same address in both";
}

TEST_F(LabTest, MemoryTakenAwayFromMallocKillsTheProcess) {
  EXPECT_EQ(run("a = malloc 30K\nmadvise heap 128K dontneed\nfree a\nexpect signal SIGABRT\nprocess p\n"
                "b = malloc 200K\nmunmap b-16 204K\nfree b\nexpect signal SIGSEGV\nprocess q\nc = malloc 1K\nbrk heap\nd = malloc 1M\n"
                "expect signal SIGSEGV"),
            "done")
      << out;
}

TEST_F(LabTest, FramesRunOut) {
  EXPECT_EQ(run("limit frames 64\novercommit always\nm = mmap 100T rw noreserve\nread m 1M\ntouch m 1M\nexpect signal SIGKILL\nps"), "done") << out;
}

}  // namespace
}  // namespace faultline::lab
