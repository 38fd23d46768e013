#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan {
namespace {

using namespace test;
using Catch::Matchers::Contains;

/// A model whose output is the constant that `fill` makes.
template <class Fill>
Tensor read_back(const Fill& fill) {
  OnnxModel model;
  model.input("x", {"1"});
  auto& tensor = *model.graph().add_initializer();
  tensor.set_name("c");
  fill(tensor);
  const Network net = model.output("c").import();
  return *net.tensor(net.outputs[0]).constant;
}

template <class T>
std::vector<T> list(const Tensor& t) {
  return {t.values<T>().begin(), t.values<T>().end()};
}

TEST_CASE("all encodings of tensors are read: raw bytes and typed fields") {
  using P = onnx::TensorProto;
  const auto typed = [](int type, auto add) {
    return read_back([&](P& t) { t.set_data_type(type), t.add_dims(2), add(t); });
  };
  const auto in_int32 = [](P& t) { t.add_int32_data(1), t.add_int32_data(-2); };
  CHECK(list<float>(typed(P::FLOAT, [](P& t) { t.add_float_data(1), t.add_float_data(-2); })) ==
        std::vector<float>{1, -2});
  CHECK(list<double>(typed(P::DOUBLE, [](P& t) { t.add_double_data(1), t.add_double_data(-2); })) ==
        std::vector<double>{1, -2});
  CHECK(list<std::int64_t>(typed(P::INT64, [](P& t) { t.add_int64_data(1), t.add_int64_data(-2); })) == Ints{1, -2});
  CHECK(list<std::int32_t>(typed(P::INT32, in_int32)) == std::vector<std::int32_t>{1, -2});
  CHECK(list<std::int16_t>(typed(P::INT16, in_int32)) == std::vector<std::int16_t>{1, -2});
  CHECK(list<std::int8_t>(typed(P::INT8, in_int32)) == std::vector<std::int8_t>{1, -2});
  CHECK(list<std::uint8_t>(typed(P::UINT8, in_int32)) == std::vector<std::uint8_t>{1, 254});
  CHECK(list<std::uint16_t>(typed(P::UINT16, in_int32)) == std::vector<std::uint16_t>{1, 65534});
  CHECK(list<bool>(typed(P::BOOL, in_int32)) == std::vector<bool>{true, true});
  CHECK(list<std::uint32_t>(typed(P::UINT32, [](P& t) { t.add_uint64_data(1), t.add_uint64_data(5); })) ==
        std::vector<std::uint32_t>{1, 5});
  CHECK(list<std::uint64_t>(typed(P::UINT64, [](P& t) { t.add_uint64_data(1), t.add_uint64_data(5); })) ==
        std::vector<std::uint64_t>{1, 5});
  CHECK(list<float>(typed(P::FLOAT16, [](P& t) { t.add_int32_data(0x3c00), t.add_int32_data(0xc000); })) ==
        std::vector<float>{1, -2});
  CHECK(list<float>(typed(P::BFLOAT16, [](P& t) { t.add_int32_data(0x3f80), t.add_int32_data(0xc000); })) ==
        std::vector<float>{1, -2});
  CHECK(list<float>(typed(P::BFLOAT16, [](P& t) { t.set_raw_data(std::string("\x80\x3f\x00\xc0", 4)); })) ==
        std::vector<float>{1, -2});
  CHECK(list<bool>(typed(P::BOOL, [](P& t) { t.set_raw_data(std::string("\x07\x00", 2)); })) ==
        std::vector<bool>{true, false});
}

TEST_CASE("tensors whose data do not fit their shape, or whose type is not supported, are refused") {
  using P = onnx::TensorProto;
  CHECK_THROWS_WITH(read_back([](P& t) { t.set_data_type(P::FLOAT), t.add_dims(3), t.add_float_data(1); }),
                    Contains("tensor 'c': shape 3 needs 3 values, the file has 1"));
  CHECK_THROWS_WITH(read_back([](P& t) { t.set_data_type(P::FLOAT), t.add_dims(2), t.set_raw_data("1234567"); }),
                    Contains("tensor 'c': shape 2 of float32 needs 8 bytes, the file has 7"));
  CHECK_THROWS_WITH(read_back([](P& t) { t.set_data_type(P::STRING), t.add_dims(1), t.add_string_data("a"); }),
                    Contains("tensor 'c': element type 8 of ONNX is not supported"));
  CHECK_THROWS_WITH(read_back([](P& t) { t.set_data_type(22), t.add_dims(1), t.set_raw_data("a"); }),
                    Contains("tensor 'c': element type 22 of ONNX is not supported"));
}

struct External {
  TemporaryFolder folder;
  std::string location = "w.bin", offset = "4", length = "8";

  Network import() const {
    OnnxModel model;
    model.input("x", {"1"});
    auto& t = *model.graph().add_initializer();
    t.set_name("w"), t.set_data_type(onnx::TensorProto::FLOAT), t.add_dims(2);
    t.set_data_location(onnx::TensorProto::EXTERNAL);
    for (const auto& [key, value] :
         std::map<std::string, std::string>{{"location", location}, {"offset", offset}, {"length", length}}) {
      if (value.empty()) continue;
      auto& entry = *t.add_external_data();
      entry.set_key(key), entry.set_value(value);
    }
    model.output("w");
    return import_onnx(model.write(folder.path()));
  }
};

TEST_CASE("external data are read from the model's folder, aligned or not, and checked") {
  External e;
  const std::vector<float> numbers{0, 1.5f, -2, 7};
  std::string bytes(reinterpret_cast<const char*>(numbers.data()), 16);
  write_bytes(e.folder.path() / "w.bin", bytes);
  const auto value = [&] {
    const Network net = e.import();
    return list<float>(*net.tensor(net.outputs[0]).constant);
  };
  CHECK(value() == std::vector<float>{1.5f, -2});
  e.length = "";
  CHECK(value() == std::vector<float>{1.5f, -2});
  write_bytes(e.folder.path() / "w.bin", "abc" + bytes);
  e.offset = "7";
  CHECK(value() == std::vector<float>{1.5f, -2});

  e.offset = "12";
  CHECK_THROWS_WITH(e.import(), Contains("tensor 'w': external data: 'w.bin' has 19 bytes; 8 at offset 12 are needed"));
  e.offset = "18446744073709551615";
  CHECK_THROWS_WITH(e.import(), Contains("8 at offset 18446744073709551615 are needed"));
  e.offset = "-1";
  CHECK_THROWS_WITH(e.import(), Contains("external data: offset '-1' is not a number"));
  e.offset = "0", e.length = "12";
  CHECK_THROWS_WITH(e.import(), Contains("external data: length 12, but shape 2 of float32 needs 8 bytes"));
  e.length = "", e.location = "absent.bin";
  CHECK_THROWS_WITH(e.import(), Contains("tensor 'w': external data: ") && Contains("absent.bin: cannot be read"));
}

TEST_CASE("external data outside the model's folder are refused") {
  External e;
  for (const char* outside : {"../w.bin", "/etc/passwd", "sub/../../w.bin", ".."}) {
    e.location = outside;
    CHECK_THROWS_WITH(e.import(), Contains("external data: location '" + std::string(outside) +
                                           "' is not inside the model's folder"));
  }
  const TemporaryFolder other;
  write_bytes(other.path() / "w.bin", "0123456789ab");
  std::filesystem::create_symlink(other.path() / "w.bin", e.folder.path() / "link.bin");
  e.location = "link.bin";
  CHECK_THROWS_WITH(e.import(), Contains("is not inside the model's folder"));
}

TEST_CASE("a model that is a link may read data beside the file that it leads to, as caches of downloads keep them") {
  namespace fs = std::filesystem;
  External e;  // cache/snapshots/rev/model.onnx -> ../../blobs/1a, w.bin -> ../../blobs/2b
  const fs::path cache = e.folder.path(), snapshot = cache / "snapshots/rev", blobs = cache / "blobs";
  fs::create_directories(snapshot), fs::create_directories(blobs);
  write_bytes(blobs / "2b", "0123456789ab");
  CHECK_THROWS(e.import());  // leaves model.onnx in the folder
  fs::rename(cache / "model.onnx", blobs / "1a");
  fs::create_symlink("../../blobs/1a", snapshot / "model.onnx");
  fs::create_symlink("../../blobs/2b", snapshot / "w.bin");
  CHECK_NOTHROW(import_onnx(snapshot / "model.onnx"));

  fs::remove(snapshot / "w.bin");  // beside the real file, under its own name
  fs::rename(blobs / "2b", blobs / "w.bin");
  CHECK_NOTHROW(import_onnx(snapshot / "model.onnx"));

  fs::create_directories(cache / "elsewhere");
  fs::rename(blobs / "w.bin", cache / "elsewhere/w.bin");
  fs::create_symlink("../../elsewhere/w.bin", snapshot / "w.bin");
  CHECK_THROWS_WITH(import_onnx(snapshot / "model.onnx"), Contains("'w.bin' is not inside the model's folder"));
}

}  // namespace
}  // namespace bitplan
