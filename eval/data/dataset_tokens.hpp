#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "eval/data/dataset.hpp"

namespace bitplan {

/// What an input of a network of tokens gets: the ids; ones (attention_mask: every position counts); 0 ... L - 1 in
/// each window (position_ids); zeros (token_type_ids: one segment).
struct TokenInput {
  enum class What : unsigned char { ids, mask, positions, zeros };
  What what = What::ids;
  TensorId tensor = kNoTensor;
  DType dtype = DType::i64;
};

/// All inputs of the network, in its order: those named attention_mask, position_ids and token_type_ids, and one more,
/// of integers, which takes the ids whatever its name. All are [N, L]; the mask may also be float or bool. Throws
/// InputError naming an input that is none of these.
std::vector<TokenInput> token_inputs(const Network& network);
/// The one that takes the ids.
const TokenInput& ids_of(const std::vector<TokenInput>& inputs);

/// Rows of the embedding that the ids select from; nothing when no embedding reads them.
std::optional<std::int64_t> vocabulary_of(const Network& network, TensorId ids);

/// The network's first output is [N, L, C] with a logit for every token: its position t predicts token t + 1.
bool predicts_next_token(const Network& network, std::int64_t length, std::optional<std::int64_t> vocabulary);

/// Length of the windows of `tokens` data (reads the file of a .npy): what a free sequence dimension of the model
/// becomes. Throws InputError without the place in the YAML.
std::int64_t token_window(const DataSpec& spec);

}  // namespace bitplan
