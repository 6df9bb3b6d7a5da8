// Programs linked in every way, with strings and limits of every size, and scripts: their start on this kernel and in the twin.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/units.h"
#include "program_start.h"
#include "support/elf_builder.h"

namespace faultline::diff {
namespace {

std::string compare(const StartRequest& request, ProgramStart* seen = nullptr) {
  const ProgramStart kernel = start_on_kernel(request);
  if (seen != nullptr) *seen = kernel;
  return difference(kernel, start_in_twin(request, random_bytes(kernel)));
}

std::vector<StartRequest> requests_for(const std::string& path) {
  std::vector<StartRequest> made;
  StartRequest plain{.path = path, .argv = {path}, .envp = {"A=1"}};
  plain.grow_break = 200001;
  made.push_back(plain);
  for (const std::uint64_t limit : {std::uint64_t{4096}, std::uint64_t{32768}, std::uint64_t{1} << 20, std::uint64_t{127} << 20,
                                    std::uint64_t{256} << 20, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    made.push_back(plain);
    made.back().stack_limit = limit;
  }
  made.push_back(plain);
  made.back().argv.clear();  // since 5.18 an empty argv becomes {""}
  for (const std::size_t length : {std::size_t{100}, std::size_t{3900}, std::size_t{4096}, std::size_t{20000}, std::size_t{131071},
                                   std::size_t{131072}}) {
    made.push_back(plain);
    made.back().argv.push_back(std::string(length, 'x'));
  }
  for (const std::size_t count : {10, 500, 10000, 200000}) {
    made.push_back(plain);
    made.back().envp.assign(count, "NAME=some value");
  }
  made.push_back(plain);
  made.back().argv.assign(60, std::string(100000, 'y'));  // 6 MB: more than three quarters of 8 MiB are never allowed
  made.push_back(plain);
  made.back().argv.assign(19, std::string(100000, 'y'));
  made.push_back(made.back());
  made.back().stack_limit = 32 << 20;
  made.push_back(plain);
  made.back().personality = READ_IMPLIES_EXEC;  // execve takes it away from 64-bit programs
  for (const std::uint64_t pages : {30, 40, 100, 300, 1000}) {
    made.push_back(plain);
    made.back().address_space_limit = pages * kPageSize;
  }
  return made;
}

class Shape : public testing::TestWithParam<const char*> {};

TEST_P(Shape, StartsAlike) {
  if (const std::string reason = why_no_kernel(); !reason.empty()) GTEST_SKIP() << "SKIPPED: " << reason;
  const std::string path = std::string(SHAPES_FOLDER) + "/start_" + GetParam();
  int started = 0;
  for (const StartRequest& request : requests_for(path)) {
    ProgramStart kernel;
    const std::string text = compare(request, &kernel);
    started += kernel.outcome == ProgramStart::Outcome::started;
    EXPECT_EQ(text, "") << request.argv.size() << " arguments, " << request.envp.size() << " variables, stack limit "
                        << request.stack_limit << ", address space limit " << request.address_space_limit;
  }
  EXPECT_GT(started, 15);
}

INSTANTIATE_TEST_SUITE_P(Elf, Shape, testing::Values(SHAPES), [](const auto& shape) { return std::string(shape.param); });

struct Folder {
  Folder() : path(testing::TempDir() + fmt::format("faultline-shapes-{}", ::getpid())) { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name, std::string_view contents) const {
    const std::string whole = path + "/" + name;
    std::ofstream(whole, std::ios::binary) << contents;
    ::chmod(whole.c_str(), 0755);
    return whole;
  }
  std::string path;
};

// The loader alone, and libraries that are executable files: position independent without an interpreter.
TEST(ElfShapes, LibrariesAsPrograms) {
  if (const std::string reason = why_no_kernel(); !reason.empty()) GTEST_SKIP() << "SKIPPED: " << reason;
  const Folder folder;
  std::size_t tried = 0, large = 0;
  for (const char* place : {"/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu"}) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(place, ignored)) {
      if (!entry.is_regular_file() || entry.path().string().find(".so") == std::string::npos) continue;
      const std::uint64_t bytes = entry.file_size();
      if (bytes > (12 << 20) || tried >= 60 || (bytes < (2 << 20) && tried - large > 30)) continue;
      const std::string copy = folder.path + "/" + std::to_string(++tried);
      large += bytes >= (2 << 20);
      std::filesystem::copy_file(entry.path(), copy);
      ::chmod(copy.c_str(), 0755);
      EXPECT_EQ(compare({.path = copy, .argv = {"library"}, .envp = {}}), "") << entry.path();
    }
  }
  EXPECT_EQ(compare({.path = "/lib64/ld-linux-x86-64.so.2", .argv = {"ld.so", "/bin/true"}, .envp = {}}), "");
  std::printf("%zu libraries, %zu of 2 MiB and more\n", tried, large);
  EXPECT_GT(tried, 10u);
}

TEST(ElfShapes, Scripts) {
  if (const std::string reason = why_no_kernel(); !reason.empty()) GTEST_SKIP() << "SKIPPED: " << reason;
  const Folder folder;
  const std::string inner = folder.file("inner", "#!/bin/sh -e  -u \nexit 0\n");
  std::vector<std::string> contents = {
      "#!/bin/sh\n",
      "#! \t /bin/sh \t -x  two words \t \n",
      "#!/bin/sh",
      "#!/bin/sh ",
      "#!/bin/sh argument without a newline",
      "#!",
      "#!\n",
      "#!   \t \n",
      "#!/does/not/exist\n",
      "#!/tmp\n",
      "#!/etc/passwd\n",
      "#!" + inner + " outer\n",
      "#!" + folder.path + "/self\n",
      std::string("#!/bin/sh\0 -x\n", 14),
      "#!/bin/sh " + std::string(400, 'a') + "\n",
      "#!" + std::string(400, 'b') + "\n",
      "#!" + std::string(253, ' '),
      "#!" + std::string(400, ' ') + "/bin/sh\n",
      "#!/" + std::string(245, '/') + "bin/sh\n",
      "#!/" + std::string(246, '/') + "bin/sh\n",
      "#!/" + std::string(245, '/') + "bin/sh x\n",
      "# no script",
      "",
      "\177EL",
  };
  for (std::size_t i = 0; i < contents.size(); ++i) {
    const std::string path = folder.file("script" + std::to_string(i), contents[i]);
    for (const std::vector<std::string>& argv :
         {std::vector<std::string>{path}, {"a name that is much longer than what takes its place, much longer", "-v"}, {}}) {
      EXPECT_EQ(compare({.path = path, .argv = argv, .envp = {"X=y"}}), "") << contents[i];
    }
  }
  const std::string self = folder.file("self", "#!" + folder.path + "/self\n");
  EXPECT_EQ(compare({.path = self, .argv = {self}, .envp = {}}), "");
  std::string next = "/bin/sh";
  for (int depth = 0; depth < 8; ++depth) {
    next = folder.file("deep" + std::to_string(depth), "#!" + next + " " + std::to_string(depth) + "\n");
    EXPECT_EQ(compare({.path = next, .argv = {next, "z"}, .envp = {}}), "") << depth;
  }
}

// Real programs cut off anywhere.
TEST(ElfShapes, TruncatedFiles) {
  if (const std::string reason = why_no_kernel(); !reason.empty()) GTEST_SKIP() << "SKIPPED: " << reason;
  const Folder folder;
  std::ifstream program(std::string(SHAPES_FOLDER) + "/start_pie", std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(program)), {});
  ASSERT_GT(whole.size(), 8192u);
  std::vector<std::size_t> lengths = {0, 1, 4, 17, 20, 53, 57, 58, 63, 64, 65, 119, 120, 200, 400, 700, 792, 793, 1000, 4095, 4096};
  for (std::size_t length = 4097; length < whole.size(); length += 997) lengths.push_back(length);
  for (const std::size_t length : lengths) {
    const std::string path = folder.file("cut" + std::to_string(length), std::string_view(whole).substr(0, length));
    EXPECT_EQ(compare({.path = path, .argv = {path}, .envp = {}}), "") << "cut off after " << length << " bytes";
  }
}

}  // namespace
}  // namespace faultline::diff
