#include "data/tensor_dictionaries.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "core/quoted.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

using Kind = PickleNode::Kind;

constexpr int kDeepestDictionary = 4;
constexpr std::size_t kMostCandidates = 1000;
constexpr std::size_t kLongestKey = 256;

/// Finds the dictionaries of tensors in one document, and takes one.
class Chooser {
 public:
  Chooser(const PickleDocument& document, const std::string& wanted, const std::string& where)
      : document_(document), wanted_(wanted), where_(where) {}

  const PickleNode& choose();

 private:
  struct Candidate {
    std::string path;
    const PickleNode* dictionary;
    std::size_t tensors;
  };

  [[noreturn]] void fail(const std::string& what, Errc code = Errc::BadFile) const {
    throw Error(code, message(where_, ": ", what));
  }
  void find_candidates(const PickleNode& dictionary, const std::string& path, int depth);
  std::string listed() const;
  std::string keys_of_root() const;

  const PickleDocument& document_;
  const std::string& wanted_;
  const std::string& where_;
  std::vector<Candidate> candidates_;
  std::set<const PickleNode*> seen_;
};

/// Dictionaries most of whose values are tensors, with texts for keys all the way.
void Chooser::find_candidates(const PickleNode& dictionary, const std::string& path, int depth) {
  if (!seen_.insert(&dictionary).second) return;
  const auto& items = dictionary.items;
  std::size_t tensors = 0;
  for (std::size_t i = 0; i < items.size(); i += 2) {
    if (!text_of(items[i])) return;
    if (is_tensor(items[i + 1])) ++tensors;
  }
  if (tensors * 2 > items.size() / 2) {
    if (candidates_.size() == kMostCandidates)
      fail(message("holds more than ", kMostCandidates, " dictionaries of tensors: it is no file of weights"));
    candidates_.push_back({path, &dictionary, tensors});
    return;
  }
  if (depth == kDeepestDictionary) return;
  for (std::size_t i = 0; i < items.size(); i += 2) {
    const auto key = *text_of(items[i]);
    const PickleNode* const inner = node_of(items[i + 1], Kind::Dict);
    if (inner != nullptr && key.size() <= kLongestKey)
      find_candidates(*inner, (path.empty() ? "" : path + '/') + std::string(key), depth + 1);
  }
}

std::string Chooser::listed() const {
  constexpr std::size_t kMost = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(candidates_.size(), kMost); ++i)
    text +=
        message(i == 0 ? "" : ", ", internal::quoted(candidates_[i].path), " (", candidates_[i].tensors, " tensors)");
  if (candidates_.size() > kMost) text += message(" and ", candidates_.size() - kMost, " more");
  return text;
}

std::string Chooser::keys_of_root() const {
  constexpr std::size_t kMost = 16;
  const PickleNode* const root = node_of(document_.root, Kind::Dict);
  if (root == nullptr) return is_tensor(document_.root) ? "it is one tensor" : "it is no dictionary";
  std::string text;
  for (std::size_t i = 0; i < std::min(root->items.size(), kMost); i += 2)
    if (const auto key = text_of(root->items[i])) text += (text.empty() ? "" : ", ") + internal::quoted(*key);
  return text.empty() ? "its dictionary is empty" : "its dictionary has " + text;
}

const PickleNode& Chooser::choose() {
  if (const PickleNode* const root = node_of(document_.root, Kind::Dict)) find_candidates(*root, "", 0);
  if (candidates_.empty())
    fail(message("holds no dictionary of tensors (", keys_of_root(),
                 "): write one with torch.save(module.state_dict(), path)"),
         Errc::NotFound);
  if (wanted_.empty() && candidates_.size() == 1) return *candidates_.front().dictionary;
  if (wanted_.empty())
    fail(message("holds ", candidates_.size(), " dictionaries of tensors: name the one to take, ", listed()),
         Errc::NotFound);
  for (const auto& candidate : candidates_)
    if (candidate.path == wanted_) return *candidate.dictionary;
  if (candidates_.front().path.empty())
    fail(message("is one dictionary of tensors: there is no ", internal::quoted(wanted_), " in it; name none"),
         Errc::NotFound);
  fail(message("holds no dictionary of tensors ", internal::quoted(wanted_), ": it has ", listed()), Errc::NotFound);
}

}  // namespace

bool is_tensor(const PickleValue& value) {
  const auto callee = callee_of(value);
  return callee.starts_with("torch._utils._rebuild_") || callee == "torch._tensor._rebuild_from_type_v2";
}

const PickleNode& choose_dictionary(const PickleDocument& document, const std::string& wanted,
                                    const std::string& where) {
  return Chooser(document, wanted, where).choose();
}

}  // namespace halftone::internal
