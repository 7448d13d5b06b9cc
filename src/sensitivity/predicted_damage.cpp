#include "halftone/sensitivity/predicted_damage.hpp"

#include "halftone/core/error.hpp"

namespace halftone {

double PredictedDamage::score(std::size_t site, Precision precision) const {
  if (precision == k16) return 0;
  if (site < scores_.size())
    if (const auto found = scores_[site].find(precision); found != scores_[site].end()) return found->second;
  throw Error(Errc::InvalidArgument,
              message("predicted damage: the sensitivities say nothing of site ", site, " at precision ", precision));
}

double PredictedDamage::damage(const Plan& plan) const {
  if (pairs_) return pairs_->damage(plan);
  double sum = 0;
  for (std::size_t site = 0; site < plan.size(); ++site) sum += score(site, plan[site]);
  return sum;
}

double PredictedDamage::increase(const Plan& plan, std::size_t site, Precision target) const {
  if (pairs_) return pairs_->increase(plan, site, target);
  return score(site, target) - score(site, plan[site]);
}

double PredictedDamage::term(std::size_t i, Precision p, std::size_t j, Precision q) const {
  if (i == j && p != q) return 0;
  if (!pairs_) return i == j ? score(i, p) : 0;
  return pairs_->scale() * pairs_->at(i, p, j, q) / (i == j ? 2 : 1);
}

}  // namespace halftone
