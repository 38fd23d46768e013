#include "tests/model/operator_cases.hpp"

namespace bitplan::test {
namespace {

Attribute number(std::int64_t n) { return n; }

std::vector<OperatorCase> einsum_cases() {
  const Tensor a = f32({2, 3}, {1, 2, 3, 4, 5, 6}), b = f32({3, 2}, {1, 0, 0, 1, 1, 1}),
               square = f32({2, 2}, {1, 2, 3, 4});
  return {
      {"a product", "Einsum", 12, {{"equation", "ij,jk->ik"}}, {a, b}, {f32({2, 2}, {4, 5, 10, 11})}},
      {"without a written result", "Einsum", 12, {{"equation", " ij , jk "}}, {a, b}, {f32({2, 2}, {4, 5, 10, 11})}},
      {"transposed", "Einsum", 12, {{"equation", "ij->ji"}}, {a}, {f32({3, 2}, {1, 4, 2, 5, 3, 6})}},
      {"summed", "Einsum", 12, {{"equation", "ij->i"}}, {a}, {f32({2}, {6, 15})}},
      {"the diagonal", "Einsum", 12, {{"equation", "ii->i"}}, {square}, {f32({2}, {1, 4})}},
      {"the trace", "Einsum", 12, {{"equation", "ii"}}, {square}, {f32({}, {5})}},
      {"an ellipsis broadcasts",
       "Einsum",
       12,
       {{"equation", "...ij,jk->...ik"}},
       {f32({1, 1, 2}, {1, 2}), square},
       {f32({1, 1, 2}, {7, 10})}},
      {"three inputs",
       "Einsum",
       12,
       {{"equation", "i,i,i->"}},
       {f32({2}, {1, 2}), f32({2}, {3, 4}), f32({2}, {5, 6})},
       {f32({}, {63})}},
  };
}

std::vector<OperatorCase> norm_cases() {
  const Tensor x = f32({1, 4, 1, 2}, {0, 1, 2, 3, 4, 5, 6, 7}), rows = f32({2, 3}, {1, 2, 3, -1, 0, 4});
  return {
      {"scale of each group before opset 21",
       "GroupNormalization",
       18,
       {{"num_groups", number(2)}},
       {x, f32({2}, {1, 2}), f32({2}, {0, 1})},
       {f32({1, 4, 1, 2}, {-1.34163542f, -0.447211807f, 0.447211807f, 1.34163542f, -1.68327084f, 0.105576387f,
                           1.89442361f, 3.68327084f})}},
      {"scale of each channel since opset 21",
       "GroupNormalization",
       21,
       {{"num_groups", number(2)}},
       {x, f32({4}, {1, 2, 3, 4}), f32({4}, {0, 0, 1, 1})},
       {f32({1, 4, 1, 2}, {-1.34163542f, -0.447211807f, 0.894423613f, 2.68327084f, -3.02490626f, -0.34163542f,
                           2.78884723f, 6.36654168f})}},
      {"each channel",
       "InstanceNormalization",
       11,
       {},
       {x, f32({4}, {1, 2, 3, 4}), f32({4}, {0, 0, 1, 1})},
       {f32({1, 4, 1, 2},
            {-0.999980001f, 0.999980001f, -1.99996f, 1.99996f, -1.99994f, 3.99994f, -2.99992f, 4.99992f})}},
      {"rows",
       "RMSNormalization",
       23,
       {},
       {rows, f32({3}, {1, 2, 3})},
       {f32({2, 3}, {0.462909554f, 1.85163822f, 4.16618599f, -0.420083655f, 0, 5.04100385f})}},
      {"mean and inverse deviation",
       "LayerNormalization",
       17,
       {},
       {rows, f32({3}, {1, 1, 1}), std::nullopt},
       {f32({2, 3}, {-1.22473569f, 0, 1.22473569f, -0.925819108f, -0.462909554f, 1.38872866f}), f32({2, 1}, {2, 1}),
        f32({2, 1}, {1.22473569f, 0.462909554f})}},
      {"neighbouring channels",
       "LRN",
       13,
       {{"size", number(3)}, {"alpha", 0.5f}, {"beta", 0.5f}, {"bias", 1.0f}},
       {f32({1, 4, 1}, {1, 2, 3, 4})},
       {f32({1, 4, 1}, {0.738548946f, 1.09544512f, 1.24211801f, 1.75976538f})}},
      {"zeros stay", "LpNormalization", 11, {}, {f32({2, 2}, {3, 4, 0, 0})}, {f32({2, 2}, {0.6f, 0.8f, 0, 0})}},
  };
}

std::vector<OperatorCase> head_cases() {
  const Tensor q = f32({1, 1, 2, 2}, {1, 0, 0, 1}), k = f32({1, 1, 2, 2}, {1, 0, 1, 1}),
               v = f32({1, 1, 2, 2}, {1, 2, 3, 4});
  const auto flat = [](const Tensor& t) { return t.reshaped({1, 2, 2}); };
  const Tensor pair = f32({1, 1, 1, 4}, {1, 2, 3, 4}), cos = f32({1, 1, 2}, {0.6f, 0.6f}),
               sin = f32({1, 1, 2}, {0.8f, 0.8f});
  const Tensor all = f32({1, 1, 2, 2}, {2, 3, 2.3395231f, 3.3395231f}),
               causal = f32({1, 1, 2, 2}, {1, 2, 2.3395231f, 3.3395231f});
  return {
      {"all keys", "Attention", 23, {}, {q, k, v}, {all}},
      {"causal", "Attention", 23, {{"is_causal", number(1)}}, {q, k, v}, {causal}},
      {"a bool mask", "Attention", 23, {}, {q, k, v, flags({2, 2}, {1, 0, 1, 1})}, {causal}},
      {"heads side by side",
       "Attention",
       23,
       {{"q_num_heads", number(1)}, {"kv_num_heads", number(1)}},
       {flat(q), flat(k), flat(v)},
       {flat(all)}},
      {"halves", "RotaryEmbedding", 23, {}, {pair, cos, sin}, {f32({1, 1, 1, 4}, {-1.8f, -2, 2.6f, 4})}},
      {"neighbours, by position",
       "RotaryEmbedding",
       23,
       {{"interleaved", number(1)}},
       {pair, f32({2, 2}, {1, 1, 0.6f, 0.6f}), f32({2, 2}, {0, 0, 0.8f, 0.8f}), i64({1, 1}, {1})},
       {f32({1, 1, 1, 4}, {-1, 2, -1.4f, 4.8f})}},
  };
}

}  // namespace

std::vector<OperatorCase> attention_cases() {
  std::vector<OperatorCase> all;
  for (const auto& part : {einsum_cases(), norm_cases(), head_cases()}) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace bitplan::test
