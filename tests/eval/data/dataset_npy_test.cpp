#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "core/npy.hpp"
#include "eval/data/dataset.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

const Network kNet = facade({4, 2}, {4, 3});

std::string name(const TempFolder& dir, const std::string& file) { return (dir.path / file).string(); }

std::unique_ptr<DataSet> open(const TempFolder& dir, const std::string& keys, const Network& net = kNet) {
  return open_dataset(spec_of("{kind: npy, " + keys + "}", dir.path), net);
}

void fails(const TempFolder& dir, const std::string& keys, const std::string& message, const Network& net = kNet) {
  CHECK_THROWS_WITH(open(dir, keys, net), name(dir, "exp.yaml") + ":1:7: data: " + message);
  CHECK_THROWS_AS(open(dir, keys, net), InputError);
}

template <class T>
Tensor column(const std::vector<T>& values) {
  return Tensor::of<T>({static_cast<std::int64_t>(values.size())}, values);
}

}  // namespace

TEST_CASE("arrays come from .npy files, from an .npz member of the input's name and from a named member") {
  const TempFolder dir("npy");
  const auto x = Tensor::of<float>({3, 2}, std::vector<float>{1, 2, 3, 4, 5, 6});
  const auto labels = column<std::int64_t>({2, 1, 0});
  write_npy(dir.path / "x.npy", x);
  write_npy(dir.path / "l.npy", labels);
  write_npz(dir.path / "m.npz", {{"x", x}, {"labels", labels}, {"other", x}});
  for (const std::string keys : {"inputs: {x: x.npy}, labels: l.npy", "inputs: {x: m.npz}, labels: m.npz",
                                 "inputs: {x: 'm.npz:other'}, labels: 'm.npz:labels'"}) {
    const auto data = open(dir, keys);
    CHECK(data->samples() == 3);
    CHECK(data->has_labels());
    const auto batch = data->read(1, 2);
    CHECK(batch.inputs[0].shape() == Shape{2, 2});
    CHECK(batch.inputs[0].values<float>()[0] == 3);
    CHECK(batch.inputs[0].values<float>()[3] == 6);
    CHECK(batch.labels == std::vector<std::int64_t>{1, 0});
  }
  const auto unlabelled = open(dir, "inputs: {x: x.npy}, first: 2");
  CHECK_FALSE(unlabelled->has_labels());
  CHECK(unlabelled->samples() == 1);
  CHECK(unlabelled->read(0, 1).labels.empty());
  fails(dir, "inputs: {x: 'm.npz:y'}", name(dir, "m.npz") + ": there is no member 'y'; known: labels, other, x");
}

TEST_CASE("any numbers become the float32 of an input, integers the integers of an input") {
  const TempFolder dir("types");
  const auto first = [&](const Tensor& t, const Network& net) {
    write_npy(dir.path / "x.npy", t);
    return open(dir, "inputs: {x: x.npy}", net)->read(0, 1).inputs[0];
  };
  const Shape shape{1, 2};
  CHECK(first(Tensor::of<double>(shape, std::vector<double>{0.1, 2}), kNet).values<float>()[0] == 0.1F);
  CHECK(first(Tensor::of<std::uint8_t>(shape, std::vector<std::uint8_t>{200, 2}), kNet).values<float>()[0] == 200);
  const std::vector<std::uint16_t> halves{0x3e00, 0xc000};  // 1.5, -2
  const Tensor f16(DType::f16, shape, reinterpret_cast<const std::byte*>(halves.data()), nullptr);
  CHECK(first(f16, kNet).values<float>()[0] == 1.5F);
  CHECK(first(f16, kNet).values<float>()[1] == -2);
  const auto ids = facade({1, 2}, {1, 3}, DType::i64), narrow = facade({1, 2}, {1, 3}, DType::i32);
  CHECK(first(Tensor::of<std::uint16_t>(shape, std::vector<std::uint16_t>{65535, 2}), ids).values<std::int64_t>()[0] ==
        65535);
  CHECK(first(Tensor::of<std::int64_t>(shape, std::vector<std::int64_t>{-7, 2}), narrow).values<std::int32_t>()[0] ==
        -7);
  const auto place = name(dir, "exp.yaml") + ":1:7: data: " + name(dir, "x.npy");
  CHECK_THROWS_WITH(first(Tensor::of<float>(shape, std::vector<float>{1, 2}), ids),
                    place +
                        " is float32, the network's input 'x' is int64; inputs may be float32 from numbers, or "
                        "integers from integers");
  CHECK_THROWS_WITH(first(Tensor::of<std::int64_t>(shape, std::vector<std::int64_t>{1, 1LL << 40}), narrow),
                    place + ": sample 0 (counted from 0) has a value that does not fit int32");
  CHECK_THROWS_WITH(first(Tensor::of<std::uint64_t>(shape, std::vector<std::uint64_t>{1, ~0ULL}), ids),
                    place + ": sample 0 (counted from 0) has a value that does not fit int64");
}

TEST_CASE("NaN, infinite and overflowing values are errors that name file and sample") {
  const TempFolder dir("nan");
  const auto message = name(dir, "exp.yaml") + ":1:7: data: " + name(dir, "x.npy") +
                       ": sample 2 (counted from 0) has a NaN or infinite value";
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity(), 1e300}) {
    write_npy(dir.path / "x.npy", Tensor::of<double>({3, 2}, std::vector<double>{1, 2, 3, 4, 5, bad}));
    const auto data = open(dir, "inputs: {x: x.npy}, first: 1");
    CHECK_NOTHROW(data->read(0, 1));
    CHECK_THROWS_WITH(data->read(0, 2), message);
    CHECK_THROWS_WITH(data->read(1, 1), message);
    CHECK_THROWS_AS(fingerprint(*data), InputError);
  }
}

TEST_CASE("arrays that do not fit the network or each other are refused") {
  const TempFolder dir("misfit");
  const auto put = [&](const std::string& file, const Shape& shape) {
    write_npy(dir.path / file, Tensor(DType::f32, shape));
  };
  put("x.npy", {3, 2});
  fails(dir, "inputs: {y: x.npy}", "inputs: the network has no input 'y'; known: x");
  fails(dir, "inputs: {x: gone.npy}", name(dir, "gone.npy") + ": cannot be read: No such file or directory");
  fails(dir, "inputs: {x: x.npy}", name(dir, "x.npy") + " is 3x2, the network's input 'x' is Nx5",
        facade({1, 5}, {1, 3}));
  fails(dir, "inputs: {x: x.npy}", name(dir, "x.npy") + " is 3x2, the network's input 'x' is Nx2x2",
        facade({1, 2, 2}, {1, 3}));
  auto two = kNet;
  two.inputs = {0, 1};
  two.tensors[1].shape = {4, 2};
  fails(dir, "inputs: {x: x.npy}", "inputs: the network's input 'y' is missing", two);
  put("y.npy", {4, 2});
  fails(dir, "inputs: {x: x.npy, y: y.npy}", name(dir, "y.npy") + " has 4 samples, " + name(dir, "x.npy") + " has 3",
        two);
  auto odd = two;
  odd.tensors[1].shape = {2};
  fails(dir, "inputs: {x: x.npy, y: y.npy}",
        "the network's input 'y' is 2: its leading dimension is not the batch of 4", odd);
  put("x.npy", {0, 2});
  fails(dir, "inputs: {x: x.npy}", name(dir, "x.npy") + " has no samples");
  dir.put("x.npy", "not an array at all");
  fails(dir, "inputs: {x: x.npy}", name(dir, "x.npy") + ": is not a .npy file");
}

TEST_CASE("labels must be integers, one a sample, each a class of the network") {
  const TempFolder dir("labels");
  write_npy(dir.path / "x.npy", Tensor(DType::f32, {3, 2}));
  const auto label = [&](const Tensor& t) { write_npy(dir.path / "l.npy", t); };
  const std::string keys = "inputs: {x: x.npy}, labels: l.npy";
  const auto file = name(dir, "l.npy");
  label(column<float>({0, 1, 2}));
  fails(dir, keys, file + ": labels must be integers of shape [samples], are float32 3");
  label(Tensor(DType::i64, {3, 1}));
  fails(dir, keys, file + ": labels must be integers of shape [samples], are int64 3x1");
  label(column<std::int64_t>({0, 1}));
  fails(dir, keys, file + " has 2 samples, " + name(dir, "x.npy") + " has 3");
  label(column<std::int32_t>({0, 1, 3}));
  fails(dir, keys, file + ": sample 2 (counted from 0) has label 3; allowed: 0 to 2");
  CHECK(open(dir, keys + ", samples: 2")->read(0, 2).labels == std::vector<std::int64_t>{0, 1});
  label(column<std::int32_t>({0, -1, 2}));
  fails(dir, keys, file + ": sample 1 (counted from 0) has label -1; allowed: 0 to 2");
  fails(dir, keys, file + ": sample 1 (counted from 0) has label -1; allowed: 0 and above",
        facade({4, 2}, {4, 3, 5, 2}));
}
