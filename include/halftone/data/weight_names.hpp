#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace halftone {

/// What tensors of a weights file are called in the network: rules that apply one after the other, none at first.
class WeightNames {
 public:
  /// Replaces what the regular expression `from` (ECMAScript) matches, everywhere in a name, by `to`, where $1 stands
  /// for the first group. Throws `InvalidArgument` for a malformed expression.
  void add(const std::string& from, const std::string& to);
  /// Adds "FROM=TO", split at the last "=", or the rules of a JSON file "x.json": [["FROM", "TO"], …].
  void add(const std::string& rule);

  [[nodiscard]] bool empty() const { return rules_.empty(); }
  /// New names in the order of the old ones; one that is empty means that the tensor is left out. Throws
  /// `InvalidArgument` where two become one, naming both, where a rule matches no name, and where a name is too long
  /// for a regular expression (1,000 bytes).
  [[nodiscard]] std::vector<std::string> map(std::vector<std::string> names) const;

 private:
  struct Rule {
    std::string from;
    std::string to;
  };
  void add_file(const std::filesystem::path& path);

  std::vector<Rule> rules_;
};

}  // namespace halftone
