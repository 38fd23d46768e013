#include "eval/data/dataset.hpp"

#include <set>
#include <sstream>

#include "core/error.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

std::string record(int label, int pixel) {
  std::string bytes(3073, static_cast<char>(pixel));
  bytes[0] = static_cast<char>(label);
  return bytes;
}

const Network kCifar = facade({2, 3, 32, 32}, {2, 10});

}  // namespace

TEST_CASE("every kind of data is in the table with a summary and keys of its own") {
  std::set<std::string_view> names;
  for (const auto& kind : data_kinds()) {
    names.insert(kind.name);
    CHECK_FALSE(kind.summary.empty());
    CHECK_FALSE(kind.keys.empty());
  }
  CHECK(names == std::set<std::string_view>{"cifar10", "images", "npy", "tokens"});
}

TEST_CASE("a data role is read from YAML with all its keys") {
  const auto cifar = spec_of("{kind: cifar10, file: a.bin, first: 5, samples: 7, mean: [.1, .2, .3], std: .5}", "/f");
  CHECK(cifar.kind == "cifar10");
  CHECK(cifar.file == "/f/a.bin");
  CHECK(cifar.first == 5);
  CHECK(cifar.samples == 7);
  CHECK(cifar.mean == std::vector<float>{.1F, .2F, .3F});
  CHECK(cifar.stddev == std::vector<float>{.5F});
  CHECK(cifar.place == "/f/exp.yaml:1:7: data");
  const auto npy = spec_of("{kind: npy, inputs: {b: b.npy, a: a.npz:m}, labels: l.npy}", "/f");
  CHECK_FALSE(npy.samples);
  REQUIRE(npy.inputs.size() == 2);
  CHECK(npy.inputs[0].first == "b");
  CHECK(npy.inputs[1].second == "/f/a.npz:m");
  CHECK(npy.labels == "/f/l.npy");
  const auto images = spec_of("{kind: images, root: r, resize: 256, crop: 224}", "/f");
  CHECK(images.root == "/f/r");
  CHECK(images.resize == 256);
  CHECK(images.crop == 224);
}

TEST_CASE("wrong data keys and values are errors with their place") {
  const auto fails = [](const std::string& yaml, const std::string& message) {
    CHECK_THROWS_WITH(spec_of(yaml), "exp.yaml:" + message);
    CHECK_THROWS_AS(spec_of(yaml), InputError);
  };
  fails("{kind: cifar, file: a}",
        "1:14: data.kind: 'cifar' is not a kind of data; known: cifar10, npy, images, tokens");
  fails("{file: a}", "1:7: data: the key 'kind' is missing");
  fails("{kind: cifar10}", "1:7: data: the key 'file' is missing");
  fails("{kind: cifar10, fil: a}", "1:23: data.fil: is not a known key; did you mean 'file'?");
  fails("{kind: cifar10, file: a, crop: 3}", "1:38: data.crop: is a key of kind images; this is kind cifar10");
  fails("{kind: npy, inputs: {x: a}, mean: 0}", "1:41: data.mean: is a key of kind cifar10, images; this is kind npy");
  fails("{kind: npy, inputs: {}}", "1:27: data.inputs: must name the network's inputs: {name: file.npy}");
  fails("{kind: npy, inputs: a.npy}", "1:27: data.inputs: must be a map with keys");
  fails("{kind: npy}", "1:7: data: the key 'inputs' is missing");
  fails("{kind: images}", "1:7: data: the key 'root' is missing");
  fails("{kind: images, root: r, resize: 8, crop: 9}", "1:48: data.crop: must be at most resize (8), is 9");
  fails("{kind: images, root: r, crop: 0}", "1:37: data.crop: must be from 1 to 8192, is 0");
  fails("{kind: cifar10, file: a, samples: 0}", "1:41: data.samples: must be from 1 to 1099511627776, is 0");
  fails("{kind: cifar10, file: a, first: -1}", "1:39: data.first: must be from 0 to 1099511627776, is -1");
  fails("{kind: cifar10, file: a, first: 1.5}", "1:39: data.first: must be a whole number, is '1.5'");
  fails("{kind: cifar10, file: a, mean: [1, 2]}",
        "1:38: data.mean: must be one number or a list of three (red, green, blue), has 2");
  fails("{kind: cifar10, file: a, std: 0}", "1:37: data.std: must be from 0.000001 to 1000000, is 0");
  fails("{kind: cifar10, file: a, std: [1, 1, x]}", "1:44: data.std[2]: must be a number, is 'x'");
}

TEST_CASE("a kind that is not known is refused when the data are opened too") {
  DataSpec spec;
  spec.kind = "words";
  CHECK_THROWS_WITH(open_dataset(spec, kCifar), "'words' is not a kind of data; known: cifar10, npy, images, tokens");
}

TEST_CASE("CIFAR-10 records become labels and normalised planes") {
  const TempFolder dir("cifar");
  std::string bytes = record(3, 0) + record(9, 255);
  bytes[1] = 51;             // first red pixel
  bytes[1 + 1024] = 102;     // first green pixel
  bytes[1 + 2048 + 31] = 1;  // blue, end of the first row
  dir.put("a.bin", bytes);
  const auto data =
      open_dataset(spec_of("{kind: cifar10, file: a.bin, mean: [0.2, 0, 0], std: [0.5, 1, 2]}", dir.path), kCifar);
  CHECK(data->samples() == 2);
  CHECK(data->has_labels());
  const auto batch = data->read(0, 2);
  CHECK(batch.labels == std::vector<std::int64_t>{3, 9});
  REQUIRE(batch.inputs.size() == 1);
  CHECK(batch.inputs[0].shape() == Shape{2, 3, 32, 32});
  const auto x = batch.inputs[0].values<float>();
  CHECK(x[0] == (51 / 255.0F - 0.2F) / 0.5F);
  CHECK(x[1] == (0 - 0.2F) / 0.5F);
  CHECK(x[1024] == 102 / 255.0F);
  CHECK(x[2048 + 31] == 1 / 255.0F / 2);
  CHECK(x[3072 + 2048] == 0.5F);
}

TEST_CASE("first and samples take a window, and reading does not depend on how it is cut") {
  const TempFolder dir("window");
  std::string bytes;
  for (int i = 0; i < 6; ++i) bytes += record(i, 10 * i);
  dir.put("a.bin", bytes);
  const auto open = [&](const std::string& more) {
    return open_dataset(spec_of("{kind: cifar10, file: a.bin" + more + "}", dir.path), kCifar);
  };
  const auto data = open(", first: 1, samples: 4");
  CHECK(data->samples() == 4);
  CHECK(data->read(0, 4).labels == std::vector<std::int64_t>{1, 2, 3, 4});
  CHECK(data->read(2, 1).labels == std::vector<std::int64_t>{3});
  CHECK(data->read(2, 1).inputs[0].values<float>()[5] == 30 / 255.0F);
  CHECK(open(", first: 4")->samples() == 2);
  const auto place = (dir.path / "exp.yaml").string() + ":1:7: data: " + (dir.path / "a.bin").string();
  CHECK_THROWS_WITH(open(", first: 6"), place + " has 6 samples: first must be from 0 to 5, is 6");
  CHECK_THROWS_WITH(open(", first: 2, samples: 5"),
                    place + " has 6 samples: from first 2 samples must be from 1 to 4, is 5");
}

TEST_CASE("CIFAR-10 files that are missing, empty, cut off or mislabelled are refused") {
  const TempFolder dir("badcifar");
  const auto file = (dir.path / "a.bin").string();
  const auto place = (dir.path / "exp.yaml").string() + ":1:7: data: ";
  const auto fails = [&](const std::string& message, const Network& net = kCifar) {
    CHECK_THROWS_WITH(open_dataset(spec_of("{kind: cifar10, file: a.bin}", dir.path), net), place + message);
  };
  fails(file + ": cannot be read: No such file or directory");
  dir.put("a.bin", "");
  fails(file + " has no samples");
  dir.put("a.bin", record(1, 1) + "x");
  fails(file + ": 3074 bytes are no whole number of CIFAR-10 records of 3073 bytes");
  dir.put("a.bin", record(1, 1) + record(10, 1));
  fails(file + ": sample 1 (counted from 0) has label 10; allowed: 0 to 9");
  fails("cifar10 data are float32 Nx3x32x32, the network's input 'x' is float32 Nx3x28x28",
        facade({1, 3, 28, 28}, {1, 10}));
  fails("cifar10 data are float32 Nx3x32x32, the network's input 'x' is int64 Nx3x32x32",
        facade({1, 3, 32, 32}, {1, 10}, DType::i64));
  auto two = kCifar;
  two.inputs = {0, 1};
  fails("cifar10 data need a network with one input, this one has 2", two);
}

TEST_CASE("labels are not held against outputs that are no classes") {
  const TempFolder dir("noclasses");
  dir.put("a.bin", record(200, 1));
  CHECK_NOTHROW(open_dataset(spec_of("{kind: cifar10, file: a.bin}", dir.path), facade({1, 3, 32, 32}, {1, 10, 4, 4})));
  CHECK_THROWS_AS(
      open_dataset(spec_of("{kind: cifar10, file: a.bin}", dir.path), facade({1, 3, 32, 32}, {1, 10, 1, 1})),
      InputError);
}

TEST_CASE("the fingerprint changes with any pixel, any label and the normalisation, and with nothing else") {
  const TempFolder dir("fingerprint");
  std::string bytes;
  for (int i = 0; i < 70; ++i) bytes += record(i % 10, i);
  const auto print = [&](const std::string& more, const Network& net = kCifar) {
    return fingerprint(*open_dataset(spec_of("{kind: cifar10, file: a.bin" + more + "}", dir.path), net));
  };
  dir.put("a.bin", bytes);
  std::set<std::string> seen{print(""), print(", samples: 69"), print(", mean: 0.5"), print(", first: 1")};
  CHECK(print("") == print(", samples: 70"));
  CHECK(print("", facade({7, 3, 32, 32}, {7, 10})) == print(""));
  CHECK(print("").size() == 16);
  ++bytes[65 * 3073 + 1000];
  dir.put("a.bin", bytes);
  seen.insert(print(""));
  bytes[65 * 3073] = 0;
  dir.put("a.bin", bytes);
  seen.insert(print(""));
  CHECK(seen.size() == 6);
}
