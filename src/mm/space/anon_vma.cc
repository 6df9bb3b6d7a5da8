#include "mm/space/anon_vma.h"

#include "base/assert.h"

namespace faultline::mm {

namespace {

AnonVma* new_anon_vma(AnonVma* parent) {
  auto* made = new AnonVma;
  made->parent = parent != nullptr ? parent : made;
  ++made->parent->children;
  return made;
}

void hang(AnonChain& chain, AnonVma* anon_vma) {
  chain.all.push_back(anon_vma);
  ++anon_vma->chains;
}

}  // namespace

AnonChain* new_anon_chain() {
  auto* chain = new AnonChain;
  chain->own = new_anon_vma(nullptr);
  hang(*chain, chain->own);
  return chain;
}

// An ancestor without mappings of its own and with at most one child is used again, which keeps a line of processes
// that fork and exit from growing a chain without end.
AnonChain* fork_anon_chain(const AnonChain& of) {
  auto* chain = new AnonChain;
  for (AnonVma* ancestor : of.all) {
    hang(*chain, ancestor);
    if (chain->own == nullptr && ancestor->children < 2 && ancestor->mappings == 0) chain->own = ancestor;
  }
  if (chain->own == nullptr) {
    chain->own = new_anon_vma(of.own);
    hang(*chain, chain->own);
  }
  return chain;
}

void acquire(AnonChain* chain) {
  if (chain == nullptr) return;
  ++chain->users;
  ++chain->own->mappings;
}

void release(AnonChain* chain) {
  if (chain == nullptr) return;
  FL_ASSERT(chain->users > 0 && chain->own->mappings > 0);
  --chain->own->mappings;
  if (--chain->users > 0) return;
  for (AnonVma* anon_vma : chain->all) {
    if (--anon_vma->chains == 0) --anon_vma->parent->children;
  }
  for (AnonVma* anon_vma : chain->all) {
    if (anon_vma->chains > 0) continue;
    FL_ASSERT(anon_vma->children == 0 && anon_vma->mappings == 0);
    delete anon_vma;
  }
  delete chain;
}

}  // namespace faultline::mm
