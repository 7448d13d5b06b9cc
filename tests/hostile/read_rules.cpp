#include "halftone/graph/site_rules.hpp"
#include "hostile/memory_file.hpp"

// Patterns are compiled, and matched against names that make backtracking long.
void hostile::read_rules(Bytes file) {
  std::vector<halftone::Site> sites(3);
  sites[0].name = "layer.0.attention.query";
  sites[1].name = "layer.0.attention.key";
  sites[2].name = std::string(200, 'a') + 'b';
  for (const halftone::SiteRule& rule : halftone::parse_site_rules(text_of(file), "rules.json"))
    static_cast<void>(halftone::apply_rule(rule, sites));
}
