#include "mm/backing/file_users.h"

#include <algorithm>
#include <vector>

namespace faultline::mm {

namespace {

std::vector<Folio> folios_in(const FileObject& file, std::uint64_t first, std::uint64_t end) {
  std::vector<Folio> found;
  if (first < end && file.cached(first) && file.folio(first).first < first) found.push_back(file.folio(first));
  file.for_each_folio(first, end, [&](const Folio& one) { found.push_back(one); });
  return found;
}

void for_users_of(FrameTable& frames, const FileObject& file, const Folio& folio, ForEntry visit) {
  for (std::uint64_t page = folio.first; page < folio.end(); ++page) {
    std::vector<FrameUser> users;  // the visit may take entries away
    frames.for_each_user(file.frame(page), [&](const FrameUser& user) { users.push_back(user); });
    for (const FrameUser& user : users) visit(user);
  }
}

}  // namespace

void write_back(FrameTable& frames, FileObject& file, std::uint64_t first, std::uint64_t end, ForEntry clean) {
  if (file.shmem()) return;
  for (const Folio& folio : folios_in(file, first, end)) {
    if (!folio.dirty) continue;
    for_users_of(frames, file, folio, clean);
    file.set_dirty(folio.first, false);
  }
}

void remove_pages(FrameTable& frames, FileObject& file, std::uint64_t first, std::uint64_t end, ForEntry forget) {
  for (const Folio& folio : folios_in(file, first, end)) {
    for_users_of(frames, file, folio, forget);
    if (folio.dirty && !file.shmem() && (folio.first < first || folio.end() > end)) continue;
    if (folio.first < first) file.split(folio.first, first);
    if (folio.end() > end) file.split(std::max(first, folio.first), end);
    for (std::uint64_t page = std::max(first, folio.first); page < std::min(end, folio.end());) {
      const std::uint64_t next = file.folio(page).end();
      file.remove(page);
      page = next;
    }
  }
}

void split_completely(FrameTable& frames, FileObject& file, std::uint64_t index, ForEntry forget) {
  const Folio folio = file.folio(index);
  if (folio.dirty) return;
  for_users_of(frames, file, folio, forget);
  for (std::uint64_t page = folio.first; page < folio.end(); ++page) file.split(page, page + 1);
}

void drop_unused(FrameTable& frames, FileObject& file, std::uint64_t first, std::uint64_t end) {
  for (const Folio& folio : folios_in(file, first, end)) {
    bool used = folio.dirty;
    for (std::uint64_t page = folio.first; !used && page < folio.end(); ++page) used = frames.at(file.frame(page)).users > 0;
    if (!used) file.remove(folio.first);
  }
}

}  // namespace faultline::mm
