#include "eval/data/dataset_image.hpp"

#include <numeric>

#include "core/error.hpp"
#include "core/npy.hpp"
#include "eval/data/dataset.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

using Bytes = std::vector<std::uint8_t>;

Image pattern(std::int64_t height, std::int64_t width) {
  Image image{height, width, {}};
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x)
      for (std::int64_t c = 0; c < 3; ++c)
        image.rgb.push_back(static_cast<std::uint8_t>((y * 37 + x * 73 + c * 101 + (x * y) % 11 * 13) % 256));
  return image;
}

Image decode(const std::string& file) { return decode_image(std::as_bytes(std::span(file))); }

/// A checksum that notices swapped pixels.
std::int64_t weighted_sum(const Bytes& bytes) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += bytes[i] * static_cast<std::int64_t>(i % 97 + 1);
  return sum;
}

// Files written by Pillow 13.0; what Pillow reads from them is the expected value.
// pattern(2, 3) with a gAMA chunk of 1.0, which Pillow passes over
const std::string kPngRgb = bytes_of(
    "89504e470d0a1a0a0000000d49484452000000030000000208020000001216f14d0000000467414d41000186a031e8965f0000001c4944"
    "4154789c6360483de5b94e78d2f718265555552323237b7b7b00434a05e35522fcf00000000049454e44ae426082");
const std::string kPngRgba = bytes_of(
    "89504e470d0a1a0a0000000d49484452000000030000000208060000009d74661a0000002249444154789c6360483dc5e0b94eb861d2f7"
    "98ff2caaaaaaec4646460df6f6f68f01751a08cebce198bc0000000049454e44ae426082");
const std::string kPngGrey = bytes_of(
    "89504e470d0a1a0a0000000d4948445200000003000000020800000000b81f39c60000001049444154789c6364f0f4645235b20700044d"
    "012c95bc0a500000000049454e44ae426082");
const std::string kPngPalette = bytes_of(
    "89504e470d0a1a0a0000000d4948445200000003000000020203000000e01a8e8900000009504c54450a141ec86400ffff0112ef0f4100"
    "00000c49444154789c63906098000000dc00a96ce7c0230000000049454e44ae426082");
// 16 bits a channel: pattern(2, 3) * 256 + 77
const std::string kPng16 = bytes_of(
    "89504e470d0a1a0a0000000d494844520000000300000002100200000042862d0e0000002f49444154789c6360f04df53de5ebe9bbce57"
    "d87792ef77df185f0655df2edff7bed5be0f7c5d7d2ffa9af9cef6050006b00e693cd864340000000049454e44ae426082");
// 9x11, 4:2:0, quality 60
const std::string kJpeg = bytes_of(
    "ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e293130"
    "2e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffdb0043010e0e0e131113261515264f352d354f4f"
    "4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4fffc00011080009"
    "000b03012200021101031101ffc4001500010100000000000000000000000000000603ffc4001f10000103030500000000000000000000"
    "00000203040521233233414271ffc4001501010100000000000000000000000000000103ffc4001a110002020300000000000000000000"
    "000000040103051223ffda000c03010002110311003f00ad5a16ab059d859156e47956ec1677715e91c5c730412af43fffd9");
const std::string kJpegGrey = bytes_of(
    "ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e293130"
    "2e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffc0000b080009000b01011100ffc4001500010100"
    "000000000000000000000000000006ffc400171001000300000000000000000000000000001662a1ffda0008010100003f009b8dd308dd"
    "31703fffd9");
const std::string kJpegCmyk = bytes_of(
    "ffd8ffee000e41646f626500640000000000ffdb00430050373c463c32504641465a55505f78c882786e6e78f5afb991c8ffffffffffff"
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc000140800020003044311004d11005911004b1100ff"
    "c4001500010100000000000000000000000000000203ffc4001d1000020105010100000000000000000000010200031113213161b1ffda"
    "000e0443004d0059004b00003f009d6272b6cf62a68ac976504dcec8f61b9b2ecf07c93ac4e56d9ecfffd9");

}  // namespace

TEST_CASE("resizing gives Pillow's bilinear pixels to the bit") {
  const auto image = pattern(5, 7);
  const auto resized = [&](std::int64_t h, std::int64_t w) { return resize_bilinear(image, h, w).rgb; };
  // Image.fromarray(pattern(5, 7)).resize((w, h), Image.BILINEAR), Pillow 13.0
  CHECK(resized(3, 4) == Bytes{57,  153, 137, 149, 151, 125, 109, 147, 162, 133, 110, 143,
                               116, 129, 99,  105, 120, 140, 143, 114, 117, 67,  134, 142,
                               120, 174, 128, 124, 172, 99,  167, 105, 135, 101, 189, 94});
  CHECK(resized(6, 9) ==
        Bytes{0,   101, 202, 49,  150, 80,  105, 206, 51,  162, 206, 108, 219, 64,  165, 77,  121, 222, 77,  178, 136,
              133, 149, 79,  182, 27,  128, 28,  129, 230, 83,  184, 115, 147, 163, 93,  169, 106, 158, 84,  121, 222,
              99,  186, 137, 149, 144, 123, 149, 101, 159, 76,  113, 214, 59,  160, 111, 121, 122, 103, 127, 98,  140,
              93,  111, 179, 83,  184, 136, 156, 141, 126, 146, 122, 92,  89,  119, 121, 25,  126, 227, 89,  190, 35,
              159, 89,  105, 126, 85,  139, 66,  143, 128, 147, 141, 93,  182, 60,  128, 107, 94,  113, 47,  148, 114,
              61,  162, 156, 120, 221, 66,  155, 128, 143, 138, 132, 119, 113, 171, 59,  174, 83,  120, 181, 40,  127,
              104, 91,  157, 68,  169, 142, 121, 222, 67,  148, 249, 94,  61,  162, 177, 73,  174, 161, 138, 239, 84,
              124, 225, 70,  221, 123, 167, 176, 163, 122, 112, 213, 58,  100, 201, 46});
  CHECK(resized(5, 3) == Bytes{63,  164, 100, 144, 139, 150, 119, 129, 120, 111, 157, 148, 114, 140, 166,
                               132, 123, 169, 104, 95,  105, 115, 141, 121, 75,  121, 112, 152, 143, 98,
                               149, 69,  110, 87,  133, 143, 91,  192, 146, 151, 192, 112, 140, 186, 86});
  CHECK(resized(2, 7) == Bytes{37,  138, 169, 123, 154, 69,  139, 135, 143, 120, 128, 171, 119, 150,
                               146, 135, 131, 92,  83,  103, 192, 111, 212, 69,  142, 80,  169, 91,
                               180, 95,  146, 142, 103, 199, 56,  145, 67,  156, 117, 89,  190, 105});
  CHECK(resized(5, 7) == image.rgb);
}

TEST_CASE("resizing a constant image keeps its colour") {
  for (const std::uint8_t grey : {0, 1, 127, 255}) {
    const Image image{9, 13, Bytes(9 * 13 * 3, grey)};
    for (const auto& [h, w] : {std::pair{4, 5}, {20, 13}, {1, 1}, {9, 40}})
      CHECK(resize_bilinear(image, h, w).rgb == Bytes(static_cast<std::size_t>(h * w * 3), grey));
  }
}

TEST_CASE("the shorter side becomes the size asked for, the longer keeps the ratio, rounded down") {
  const auto size = [](const Image& i) { return std::pair{i.height, i.width}; };
  CHECK(size(resize_shorter_side(pattern(5, 7), 3)) == std::pair{std::int64_t{3}, std::int64_t{4}});
  CHECK(size(resize_shorter_side(pattern(7, 5), 3)) == std::pair{std::int64_t{4}, std::int64_t{3}});
  CHECK(size(resize_shorter_side(pattern(4, 4), 6)) == std::pair{std::int64_t{6}, std::int64_t{6}});
  CHECK(resize_shorter_side(pattern(5, 7), 3).rgb == resize_bilinear(pattern(5, 7), 3, 4).rgb);
}

TEST_CASE("the centre crop starts at floor of half the difference") {
  const auto image = pattern(5, 8);
  const auto crop = centre_crop(image, 2);  // rows from 1, columns from 3
  Bytes expected;
  for (const std::size_t y : {1, 2})
    for (const std::size_t x : {3, 4})
      for (std::size_t c = 0; c < 3; ++c) expected.push_back(image.rgb[3 * (y * 8 + x) + c]);
  CHECK(crop.rgb == expected);
  CHECK(centre_crop(pattern(4, 4), 4).rgb == pattern(4, 4).rgb);
}

TEST_CASE("PNG files of all colour types give the stored pixels, without gamma, alpha or background") {
  const auto small = pattern(2, 3);
  for (const auto& file : {kPngRgb, kPngRgba, kPng16}) {
    const auto image = decode(file);
    CHECK(image.height == 2);
    CHECK(image.width == 3);
    CHECK(image.rgb == small.rgb);
  }
  const auto grey = decode(kPngGrey);
  for (std::size_t i = 0; i < 18; ++i) CHECK(grey.rgb[i] == small.rgb[i / 3 * 3]);
  CHECK(decode(kPngPalette).rgb == Bytes{10, 20, 30, 200, 100, 0, 255, 255, 1, 255, 255, 1, 200, 100, 0, 10, 20, 30});
}

TEST_CASE("JPEG files give the pixels of libjpeg-turbo's default decoding, grey ones as RGB") {
  const auto image = decode(kJpeg);
  CHECK(image.height == 9);
  CHECK(image.width == 11);
  CHECK(std::accumulate(image.rgb.begin(), image.rgb.end(), 0) == 30619);
  CHECK(weighted_sum(image.rgb) == 1499605);
  CHECK(weighted_sum(decode(kJpegGrey).rgb) == 1248968);
}

TEST_CASE("damaged images are errors, wherever the file is cut") {
  for (const auto& file : {kJpeg, kJpegGrey, kPngRgb, kPngGrey, kPngPalette, kPng16})
    for (std::size_t size = 0; size + 2 < file.size(); size += 3)
      CHECK_THROWS_AS(decode(file.substr(0, size)), InputError);
}

TEST_CASE("damaged images give pixels or an InputError, whichever byte is wrong") {
  std::size_t refused = 0, empty = 0;
  for (const auto& file : {kJpeg, kPngRgb, kPngPalette})
    for (std::size_t at = 2; at < file.size(); ++at)
      for (const int flip : {0x01, 0x80, 0xff}) {
        auto wrong = file;
        wrong[at] = static_cast<char>(wrong[at] ^ flip);
        try {
          empty += decode(wrong).rgb.empty() ? 1 : 0;
        } catch (const InputError&) {
          ++refused;
        }
      }
  CHECK(empty == 0);
  CHECK(refused > 500);
}

TEST_CASE("images that cannot be read say why") {
  CHECK_THROWS_WITH(decode(""), "is neither JPEG nor PNG");
  CHECK_THROWS_WITH(decode("GIF89a and so on"), "is neither JPEG nor PNG");
  CHECK_THROWS_WITH(decode(kJpegCmyk), "JPEG with 4 colour channels; grey and RGB are read");
  CHECK_THROWS_WITH(decode(kJpeg.substr(0, 300)), "Premature end of JPEG file");
  CHECK_THROWS_WITH(decode(kPngRgb.substr(0, 90)), "the file ends too early");
}

TEST_CASE("the cropped ImageNet JPEGs equal the pixels that the models were measured on") {
  const auto folder = shared_data() / "imagenet";
  if (shared_data().empty() || !std::filesystem::exists(folder / "images8_uint8.npy")) {
    WARN("no shared data: skipped");
    return;
  }
  const auto expected = read_npy(folder / "images8_uint8.npy");
  const auto data = open_dataset(spec_of("{kind: images, root: " + (folder / "evaluation").string() + ", crop: 224}"),
                                 facade({8, 3, 224, 224}, {8, 1000}));
  CHECK(data->samples() == 1000);
  const auto batch = data->read(0, 8);
  const auto x = batch.inputs[0].values<float>();
  const auto u8 = expected.values<std::uint8_t>();
  REQUIRE(x.size() == u8.size());
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < x.size(); ++i) wrong += x[i] == static_cast<float>(u8[i]) / 255.0F ? 0 : 1;
  CHECK(wrong == 0);
}
