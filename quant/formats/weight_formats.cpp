#include <cassert>

#include "quant/formats/weight_format.hpp"

namespace bitplan {
namespace {

struct Member {
  FormatFamily family;
  const WeightFormat& (*format)();
};

constexpr Member kMembers[] = {{FormatFamily::scaled, scaled_format},
                               {FormatFamily::block, block_format},
                               {FormatFamily::nvfp4, nvfp4_format},
                               {FormatFamily::microexponent, microexponent_format},
                               {FormatFamily::vector, vector_format},
                               {FormatFamily::codebook, codebook_format},
                               {FormatFamily::logarithmic, logarithmic_format},
                               {FormatFamily::power, power_format},
                               {FormatFamily::binary, binary_format},
                               {FormatFamily::binary_stochastic, binary_stochastic_format},
                               {FormatFamily::ternary, ternary_format},
                               {FormatFamily::ternary_two, ternary_two_format}};

}  // namespace

const WeightFormat& weight_format(const Choice& choice) {
  for (const auto& member : kMembers)
    if (member.family == choice.family) return member.format();
  assert(!"floats and integers have no WeightFormat");
  return kMembers[0].format();
}

}  // namespace bitplan
