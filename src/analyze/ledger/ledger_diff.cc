#include "analyze/ledger/ledger_diff.h"

#include <algorithm>
#include <cstdlib>
#include <map>

namespace faultline::analyze {
namespace {

using Side = std::uint64_t BeforeAfter::*;

void add_side(const Ledger& ledger, Side side, std::map<std::string, LedgerSiteChange>& sites, std::map<std::string, LedgerFileChange>& files) {
  for (const LedgerSite& site : ledger.sites) {
    LedgerSiteChange& row = sites[site.name.key()];
    row.name = site.name;
    row.resident.*side += site.resident_bytes;
    row.untouched.*side += site.untouched_bytes;
    row.blocks.*side += site.blocks;
  }
  for (const LedgerFile& file : ledger.files) {
    LedgerFileChange& row = files[file.path];
    row.path = file.path;
    row.bytes.*side += file.bytes();
  }
}

}  // namespace

LedgerDiff diff_of(const Ledger& before, const Ledger& after) {
  LedgerDiff diff;
  diff.rss = {before.sum_bytes(), after.sum_bytes()};
  diff.live_untouched = {before.live_untouched_bytes, after.live_untouched_bytes};
  diff.page_tables = {before.page_tables_bytes, after.page_tables_bytes};
  diff.mappings = {before.mappings, after.mappings};
  for (std::size_t i = 0; i < kLedgerParts; ++i) diff.parts[i] = {before.parts[i], after.parts[i]};
  std::map<std::string, LedgerSiteChange> sites;
  std::map<std::string, LedgerFileChange> files;
  add_side(before, &BeforeAfter::before, sites, files);
  add_side(after, &BeforeAfter::after, sites, files);
  for (auto& [key, site] : sites) {
    if (site.resident.change() != 0 || site.untouched.change() != 0 || site.blocks.change() != 0) diff.sites.push_back(std::move(site));
  }
  for (auto& [path, file] : files) {
    if (file.bytes.change() != 0) diff.files.push_back(std::move(file));
  }
  std::stable_sort(diff.sites.begin(), diff.sites.end(), [](const auto& x, const auto& y) { return std::llabs(x.resident.change()) > std::llabs(y.resident.change()); });
  std::stable_sort(diff.files.begin(), diff.files.end(), [](const auto& x, const auto& y) { return std::llabs(x.bytes.change()) > std::llabs(y.bytes.change()); });
  return diff;
}

}  // namespace faultline::analyze
