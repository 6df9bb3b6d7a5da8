// generate FOLDER: writes faultline's manual pages and its completion into FOLDER, when it is built.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "cli/reference/completion.h"
#include "cli/reference/man_page.h"

namespace {

bool write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  return file.flush().good();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "generate: wanted a folder\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  faultline::cli::CommandLine line;
  bool good = write(folder / "man/faultline.1", man_page(line)) && write(folder / "bash/faultline", bash_completion(line));
  for (const CLI::App* command : line.app().get_subcommands({})) {
    good = good && write(folder / "man" / fmt::format("faultline-{}.1", command->get_name()), man_page(line, *command));
  }
  if (!good) fmt::print(stderr, "generate: {}: cannot be written\n", folder.string());
  return good ? 0 : 2;
}
