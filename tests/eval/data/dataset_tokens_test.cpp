#include <filesystem>
#include <fstream>

#include "core/error.hpp"
#include "core/npy.hpp"
#include "eval/data/dataset_checks.hpp"
#include "eval/data/dataset_tokens.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"
#include "tests/fixtures.hpp"

using namespace bitplan;
using namespace bitplan::test;
using Catch::Matchers::EndsWith;

namespace {

constexpr std::int64_t kLength = 4, kVocabulary = 6;

TensorId add_input(Network& net, const std::string& name, Shape shape, DType dtype) {
  const TensorId id = add_tensor(net, name, std::move(shape), -1);
  net.tensors[static_cast<std::size_t>(id)].dtype = dtype;
  net.inputs.push_back(id);
  return id;
}

/// input_ids [batch, 4] → embedding of 6 rows → logits [batch, 4, classes].
Network token_network(std::int64_t classes = kVocabulary, std::int64_t batch = 2) {
  Network net;
  net.batch = batch;
  const TensorId ids = add_input(net, "input_ids", {batch, kLength}, DType::i64);
  Layer layer;
  layer.op = "Gather";
  layer.weight = add_constant(net, "wte", {kVocabulary, classes}, 1);
  layer.weight_shape = {kVocabulary, classes};
  layer.input = ids;
  layer.output = add_node(net, "gather", "Gather", {layer.weight, ids}, "logits", {batch, kLength, classes});
  net.layers.push_back(layer);
  net.outputs = {layer.output};
  return net;
}

void write_bytes(const std::filesystem::path& file, const std::vector<std::uint16_t>& tokens) {
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(tokens.data()), static_cast<std::streamsize>(2 * tokens.size()));
}

std::unique_ptr<DataSet> open(const std::filesystem::path& file, const Network& net, const std::string& more = "") {
  return open_dataset(spec_of("{kind: tokens, file: " + file.string() + more + "}"), net);
}

std::filesystem::path npy(const TempFolder& dir, const std::vector<std::int64_t>& ids, std::int64_t length = kLength) {
  const auto file = dir.path / "tokens.npy";
  write_npy(file, Tensor::of({static_cast<std::int64_t>(ids.size()) / length, length}, ids));
  return file;
}

}  // namespace

TEST_CASE("windows of a .npy file are samples whose labels are the next tokens") {
  const TempFolder dir("tokens");
  const auto data = open(npy(dir, {0, 1, 2, 3, 5, 4, 3, 2, 1, 1, 1, 1}), token_network(), ", first: 1");
  CHECK(data->samples() == 2);
  CHECK(data->has_labels());
  const auto batch = data->read(0, 2);
  CHECK(batch.inputs[0].integers() == std::vector<std::int64_t>{5, 4, 3, 2, 1, 1, 1, 1});
  CHECK(batch.inputs[0].dtype() == DType::i64);
  CHECK(batch.labels == std::vector<std::int64_t>{4, 3, 2, -1, 1, 1, 1, -1});
  CHECK(data->read(1, 1).labels == std::vector<std::int64_t>{1, 1, 1, -1});
}

TEST_CASE("a uint16 .bin file is cut into windows and its rest left out") {
  const TempFolder dir("tokens");
  const auto file = dir.path / "tokens.bin";
  write_bytes(file, {0, 1, 2, 3, 4, 5, 0, 1, 2});
  const auto data = open(file, token_network(), ", window: 4");
  CHECK(data->samples() == 2);
  CHECK(data->read(1, 1).inputs[0].integers() == std::vector<std::int64_t>{4, 5, 0, 1});
  CHECK(token_window(spec_of("{kind: tokens, file: " + file.string() + ", window: 4}")) == 4);
  CHECK_THROWS_WITH(open(file, token_network(), ", window: 10"), EndsWith("has 9 tokens, a window takes 10"));
  CHECK_THROWS_WITH(open(file, token_network(), ", window: 3"),
                    EndsWith("has windows of 3 tokens, the network's input 'input_ids' is Nx4"));
  std::ofstream(file, std::ios::binary) << "abc";
  CHECK_THROWS_WITH(open(file, token_network(), ", window: 4"),
                    EndsWith("3 bytes are no whole number of uint16 tokens"));
}

TEST_CASE("tokens outside the embedding's rows are refused with window and position") {
  const TempFolder dir("tokens");
  const auto net = token_network();
  const auto data = open(npy(dir, {0, 1, 2, 3, 0, 1, 6, 0}), net);
  CHECK(data->read(0, 1).inputs[0].size() == 4);
  CHECK_THROWS_WITH(data->read(0, 2), EndsWith("window 1, position 2 (counted from 0) has token 6; allowed: 0 to 5"));
  CHECK_THROWS_WITH(open(npy(dir, {0, 1, 2, -3}), net)->read(0, 1),
                    EndsWith("window 0, position 3 (counted from 0) has token -3; allowed: 0 to 5"));
}

TEST_CASE("without an embedding in sight a token must have a logit") {
  const TempFolder dir("tokens");
  auto net = token_network(5);
  net.layers.clear();
  CHECK_FALSE(vocabulary_of(net, net.inputs[0]).has_value());
  const auto data = open(npy(dir, {0, 1, 2, 5}), net);
  CHECK_THROWS_WITH(data->read(0, 1), EndsWith("has token 5; allowed: 0 to 4"));
}

TEST_CASE("tokens have labels only where the output has a logit for each of them at each position") {
  const TempFolder dir("tokens");
  const auto file = npy(dir, {0, 1, 2, 3});
  CHECK(open(file, token_network(8))->has_labels());
  CHECK_FALSE(open(file, token_network(3))->has_labels());  // hidden states, no logits
  auto net = token_network();
  net.tensors[static_cast<std::size_t>(net.outputs[0])].shape = {2, kVocabulary};
  CHECK_FALSE(open(file, net)->has_labels());
  CHECK(open(file, net)->read(0, 1).labels.empty());
}

TEST_CASE("attention_mask is ones, position_ids count, token_type_ids are zeros") {
  const TempFolder dir("tokens");
  auto net = token_network();
  add_input(net, "attention_mask", {2, kLength}, DType::f32);
  add_input(net, "position_ids", {2, kLength}, DType::i32);
  add_input(net, "token_type_ids", {2, kLength}, DType::i64);
  const auto batch = open(npy(dir, {0, 1, 2, 3, 4, 5, 0, 1}), net)->read(0, 2);
  REQUIRE(batch.inputs.size() == 4);
  CHECK(batch.inputs[1].cast(DType::i64).integers() == std::vector<std::int64_t>(8, 1));
  CHECK(batch.inputs[1].dtype() == DType::f32);
  CHECK(batch.inputs[2].integers() == std::vector<std::int64_t>{0, 1, 2, 3, 0, 1, 2, 3});
  CHECK(batch.inputs[3].integers() == std::vector<std::int64_t>(8, 0));
}

TEST_CASE("inputs that tokens do not fill are refused by name") {
  const TempFolder dir("tokens");
  const auto file = npy(dir, {0, 1, 2, 3});
  auto net = token_network();
  add_input(net, "decoder_input_ids", {2, kLength}, DType::i64);
  CHECK_THROWS_WITH(open(file, net),
                    EndsWith("the network's input 'decoder_input_ids' is int64 Nx4; another input takes the "
                             "token ids; besides them only attention_mask, position_ids and "
                             "token_type_ids are filled in"));
  net = token_network();
  add_input(net, "past_key", {2, 1, 4}, DType::f32);
  CHECK_THROWS_WITH(
      open(file, net),
      EndsWith("the network's input 'past_key' is float32 Nx1x4; tokens are int64 or int32 [N, length], and "
               "besides them only attention_mask, position_ids and token_type_ids are filled in; take kind "
               "npy for other inputs"));
  net = token_network();
  add_input(net, "attention_mask", {2, 1, kLength, kLength}, DType::i64);
  CHECK_THROWS_WITH(open(file, net), EndsWith("the network's input 'attention_mask' is int64 Nx1x4x4; it must be "
                                              "[N, length] of int64, int32, float32 or bool"));
  net = token_network();
  net.inputs.clear();
  CHECK_THROWS_WITH(open(file, net), EndsWith("tokens data: the network has no input for token ids"));
}

TEST_CASE("token files of other kinds and shapes are refused") {
  const TempFolder dir("tokens");
  const auto file = dir.path / "x.npy";
  write_npy(file, Tensor::of({4}, std::vector<std::int64_t>{0, 1, 2, 3}));
  CHECK_THROWS_WITH(open(file, token_network()), EndsWith("is int64 4; tokens are integers [windows, length]"));
  write_npy(file, Tensor::of({1, 4}, std::vector<float>{0, 1, 2, 3}));
  CHECK_THROWS_WITH(open(file, token_network()), EndsWith("is float32 1x4; tokens are integers [windows, length]"));
  CHECK_THROWS_WITH(spec_of("{kind: tokens, file: x.txt}"),
                    EndsWith("'x.txt': tokens are read from .npy [windows, length] or .bin (uint16, with window)"));
  CHECK_THROWS_WITH(spec_of("{kind: tokens, file: x.npy, window: 8}"),
                    EndsWith("is read only with a .bin file; the windows of a .npy file are its rows"));
  CHECK_THROWS_AS(spec_of("{kind: tokens, file: x.bin}"), InputError);
  CHECK_THROWS_AS(spec_of("{kind: tokens, file: x.bin, window: 0}"), InputError);
}

TEST_CASE("the vocabulary is found through casts and reshapes of the ids") {
  auto net = token_network();
  const TensorId cast = add_node(net, "cast", "Cast", {net.inputs[0]}, "cast_ids", {2, kLength});
  net.layers[0].input = cast;
  CHECK(vocabulary_of(net, net.inputs[0]) == kVocabulary);
  CHECK_FALSE(vocabulary_of(net, net.outputs[0]).has_value());
}

TEST_CASE("the fingerprint of tokens does not depend on how they are read, but on each of them") {
  const TempFolder dir("tokens");
  const auto a = fingerprint(*open(npy(dir, {0, 1, 2, 3, 3, 2, 1, 0}), token_network()));
  const auto b = fingerprint(*open(npy(dir, {0, 1, 2, 3, 3, 2, 1, 1}), token_network()));
  CHECK(a != b);
  CHECK(a == fingerprint(*open(npy(dir, {0, 1, 2, 3, 3, 2, 1, 0}), token_network())));
}
