#include "halftone/distributed/agreement.hpp"

#include <algorithm>

#include "halftone/core/error.hpp"

namespace halftone {

void require_same(const std::string& what, const std::vector<std::string>& texts) {
  const auto holders = [&](const std::string& of) { return std::count(texts.begin(), texts.end(), of); };
  // The first of the most frequent.
  const std::string& usual = *std::max_element(texts.begin(), texts.end(),
                                               [&](const auto& a, const auto& b) { return holders(a) < holders(b); });
  if (holders(usual) == static_cast<std::ptrdiff_t>(texts.size())) return;
  constexpr std::size_t kShown = 60;
  const auto shown = [](const std::string& of) {
    return '"' + of.substr(0, kShown) + (of.size() > kShown ? "…\"" : "\"");
  };
  std::string others;
  for (std::size_t rank = 0; rank < texts.size(); ++rank)
    if (texts[rank] != usual) others += message(others.empty() ? "" : ", ", "rank ", rank, " has ", shown(texts[rank]));
  throw Error(Errc::InvalidArgument, message("ranks differ in ", what, ": ", others, ", ", holders(usual), " of ",
                                             texts.size(), " have ", shown(usual), ": all ranks need the same"));
}

void require_same(Communicator& ranks, const std::string& what, const std::string& text) {
  require_same(what, ranks.gather_bytes(text));
}

}  // namespace halftone
