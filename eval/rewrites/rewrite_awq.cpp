#include "eval/rewrites/rewrite_sites.hpp"
#include "quant/rewrites/awq.hpp"

namespace bitplan {

void apply_awq(RewriteJob& job) {
  int kept = 0;
  fold_linear_sites(job, true, [&](const SiteProblem& problem) {
    const AwqResult best = awq_search({.rows = problem.outputs,
                                       .columns = problem.channels,
                                       .weights = problem.rows,
                                       .activation_mean = problem.statistics.mean_magnitude,
                                       .gram = problem.statistics.gram,
                                       .bits = static_cast<int>(job.parameter("bits")),
                                       .group = static_cast<std::int64_t>(job.parameter("group")),
                                       .threads = job.threads});
    if (best.least_loss() < best.unscaled_loss) return best.scales;
    ++kept;
    return std::vector<float>(best.scales.size(), 1.0F);
  });
  if (kept > 0) job.summary += ", " + std::to_string(kept) + " of them by 1: no factors gave a smaller error";
}

}  // namespace bitplan
