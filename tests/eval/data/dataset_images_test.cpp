#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "eval/data/dataset.hpp"
#include "eval/data/dataset_image.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// A grey PNG of 3x2 pixels: 0, 73, 146, 37, 123, 209.
const std::string kPng = bytes_of(
    "89504e470d0a1a0a0000000d4948445200000003000000020800000000b81f39c60000001049444154789c6364f0f4645235b20700044d"
    "012c95bc0a500000000049454e44ae426082");

const Network kNet = facade({2, 3, 2, 3}, {2, 4});
const Network kSquare = facade({2, 3, 2, 2}, {2, 4});

std::unique_ptr<DataSet> open(const TempFolder& dir, const std::string& keys = "", const Network& net = kNet) {
  return open_dataset(spec_of("{kind: images, root: r" + keys + "}", dir.path), net);
}

std::string place(const TempFolder& dir) { return (dir.path / "exp.yaml").string() + ":1:7: data: "; }
std::string name(const TempFolder& dir, const std::string& file) { return (dir.path / file).string(); }

}  // namespace

TEST_CASE("labels.csv gives files and labels in its order, with or without a header") {
  const TempFolder dir("csv");
  dir.put("r/a.png", kPng);
  dir.put("r/sub/b,1.png", kPng);
  for (const std::string text :
       {"file,label\nsub/b,1.png,3\na.png,0\n", "sub/b,1.png,3\r\na.png,0\r\n", "sub/b,1.png,3\n\na.png,0"}) {
    dir.put("r/labels.csv", text);
    const auto data = open(dir);
    CHECK(data->samples() == 2);
    CHECK(data->read(0, 2).labels == std::vector<std::int64_t>{3, 0});
  }
  CHECK(open(dir, ", first: 1")->read(0, 1).labels == std::vector<std::int64_t>{0});
}

TEST_CASE("one folder per class gives labels in byte order of the names") {
  const TempFolder dir("folders");
  for (const std::string file : {"b/2.png", "b/10.PNG", "A/x.png", "c/.hidden", ".git/x.png"})
    dir.put("r/" + file, kPng);
  CHECK(open(dir)->read(0, 3).labels == std::vector<std::int64_t>{0, 1, 1});
  dir.put("r/c/notes.txt", "");
  CHECK_THROWS_WITH(open(dir), place(dir) + name(dir, "r/c/notes.txt") + ": is no image; allowed: .jpg, .jpeg, .png");
}

TEST_CASE("pixels become normalised planes in RGB order") {
  const TempFolder dir("planes");
  dir.put("r/labels.csv", "a.png,1\n");
  dir.put("r/a.png", kPng);
  const auto batch = open(dir, ", mean: [0, 0.5, 0], std: [1, 1, 0.5]")->read(0, 1);
  CHECK(batch.inputs[0].shape() == Shape{1, 3, 2, 3});
  const auto x = batch.inputs[0].values<float>();
  CHECK(x[1] == 73 / 255.0F);
  CHECK(x[6 + 5] == 209 / 255.0F - 0.5F);
  CHECK(x[12 + 3] == 37 / 255.0F / 0.5F);
}

TEST_CASE("images are resized, then cropped; those of the crop's size are taken as they are") {
  const TempFolder dir("resize");
  dir.put("r/labels.csv", "a.png,1\n");
  dir.put("r/a.png", kPng);
  const auto first_row = [&](const std::string& keys) {
    const auto batch = open(dir, keys, kSquare)->read(0, 1);
    const auto x = batch.inputs[0].values<float>();
    return std::vector<float>{std::round(x[0] * 255), std::round(x[1] * 255)};
  };
  CHECK(first_row(", crop: 2") == std::vector<float>{0, 73});             // 2x3: column 0 of floor(1/2)
  CHECK(first_row(", resize: 2, crop: 2") == std::vector<float>{0, 73});  // the shorter side is 2 already
  const auto image = decode_image(std::as_bytes(std::span(kPng)));
  const auto large = centre_crop(resize_shorter_side(image, 4), 2);  // 4x6, then rows 1-2, columns 2-3
  CHECK(first_row(", resize: 4, crop: 2") ==
        std::vector<float>{static_cast<float>(large.rgb[0]), static_cast<float>(large.rgb[3])});
  dir.put("r/labels.csv", "s.png,1\n");
  // 2x2 grey: 5, 6, 7, 8
  dir.put("r/s.png",
          bytes_of("89504e470d0a1a0a0000000d494844520000000200000002080000000057dd52f80000000e49444154789c6364656461"
                   "620400003a000f73f312720000000049454e44ae426082"));
  CHECK(first_row(", resize: 4, crop: 2") == std::vector<float>{5, 6});
}

TEST_CASE("repeated reading gives the same values, from the cache or not") {
  const TempFolder dir("again");
  dir.put("r/0/a.png", kPng);
  dir.put("r/1/b.png", kPng);
  const auto data = open(dir);
  const auto before = data->read(0, 2);
  std::filesystem::remove(dir.path / "r/0/a.png");  // decoded pixels are kept
  const auto after = data->read(0, 2);
  CHECK(std::equal(before.inputs[0].bytes(), before.inputs[0].bytes() + before.inputs[0].byte_size(),
                   after.inputs[0].bytes()));
  CHECK(fingerprint(*data).size() == 16);
}

TEST_CASE("image folders that cannot be used say why") {
  const TempFolder dir("badimages");
  const auto fails = [&](const std::string& message, const std::string& keys = "", const Network& net = kNet) {
    CHECK_THROWS_WITH(open(dir, keys, net)->read(0, 1), place(dir) + message);
    CHECK_THROWS_AS(open(dir, keys, net)->read(0, 1), InputError);
  };
  fails(name(dir, "r") + ": is not a folder");
  std::filesystem::create_directories(dir.path / "r");
  fails(name(dir, "r") + ": has neither labels.csv nor a folder per class");
  std::filesystem::create_directories(dir.path / "r/class");
  fails(name(dir, "r") + " has no samples");
  const auto csv = [&](const std::string& text) { dir.put("r/labels.csv", text); };
  csv("file,label\na.png;3\n");
  fails(name(dir, "r/labels.csv") + ":2: must be file,label with a whole number, is 'a.png;3'");
  csv("a.png,3x\n");
  fails(name(dir, "r/labels.csv") + ":1: must be file,label with a whole number, is 'a.png,3x'");
  csv(",3\n");
  fails(name(dir, "r/labels.csv") + ":1: must be file,label with a whole number, is ',3'");
  csv("a.png,4\n");
  fails(name(dir, "r") + ": sample 0 (counted from 0) has label 4; allowed: 0 to 3");
  csv("a.png,3\n");
  fails(name(dir, "r/a.png") + ": is not there");
  dir.put("r/a.png", "GIF89a");
  fails(name(dir, "r/a.png") + ": is neither JPEG nor PNG");
  dir.put("r/a.png", kPng);
  fails(name(dir, "r/a.png") + ": has 2x3 pixels, the network takes 2x2; set resize and crop", "", kSquare);
  fails("images data are float32 Nx3x3x3, the network's input 'x' is float32 Nx3x2x3", ", crop: 3");
  fails(name(dir, "r/a.png") + ": crop 3 is larger than the image of 2x3 pixels", ", crop: 3",
        facade({1, 3, 3, 3}, {1, 4}));
  CHECK_NOTHROW(open(dir)->read(0, 1));
}
