#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h uses FILE and size_t without including them
#include <cstring>
#include <string>

#include <jpeglib.h>

#include <jerror.h>
#include <png.h>

#include "core/error.hpp"
#include "eval/data/dataset_image.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;

// Both libraries report errors by longjmp. The functions that call setjmp hold no C++ objects of their own, so that no
// destructor can be jumped over: what must outlive a jump belongs to the caller.

/// State of one decoding, owned by the caller of setjmp's function.
struct Decoding {
  std::span<const std::byte> file;
  std::size_t read = 0;  ///< png: bytes handed out
  Image image;
  std::string problem;  ///< set before a jump
  std::jmp_buf back;
};

void allocate(Decoding& d, std::int64_t height, std::int64_t width) {
  d.image = {height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(3 * height * width))};
}

bool too_large(Decoding& d, std::int64_t height, std::int64_t width) {
  if (height > 0 && width > 0 && height <= kMostPixels / width) return false;
  d.problem = std::to_string(height) + 'x' + std::to_string(width) + " pixels; at most 2^28 are read";
  return true;
}

[[noreturn]] void jpeg_fail(j_common_ptr info) {
  auto& d = *static_cast<Decoding*>(info->client_data);
  char text[JMSG_LENGTH_MAX];
  info->err->format_message(info, text);
  d.problem = text;
  std::longjmp(d.back, 1);
}

/// libjpeg fills the missing part of a damaged image with grey and warns; for us that is an error. Warnings that leave
/// the pixels alone (bytes between markers, unusual Adobe tags) are passed over.
void jpeg_message(j_common_ptr info, int level) {
  const int code = info->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
                    code == JWRN_BOGUS_PROGRESSION || code == JWRN_MUST_RESYNC || code == JWRN_ARITH_BAD_CODE))
    jpeg_fail(info);
}

void decode_jpeg(Decoding& d) {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  errors.error_exit = jpeg_fail;
  errors.emit_message = jpeg_message;
  info.client_data = &d;
  if (setjmp(d.back) != 0) {
    jpeg_destroy_decompress(&info);
    return;
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(d.file.data()), d.file.size());
  jpeg_read_header(&info, TRUE);
  if (info.num_components != 1 && info.num_components != 3)
    d.problem = "JPEG with " + std::to_string(info.num_components) + " colour channels; grey and RGB are read";
  else if (!too_large(d, info.image_height, info.image_width)) {
    info.out_color_space = JCS_RGB;
    jpeg_start_decompress(&info);
    allocate(d, info.output_height, info.output_width);
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = d.image.rgb.data() + std::size_t{3} * info.output_width * info.output_scanline;
      jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
  }
  jpeg_destroy_decompress(&info);
}

[[noreturn]] void png_fail(png_structp png, png_const_charp text) {
  auto& d = *static_cast<Decoding*>(png_get_error_ptr(png));
  d.problem = text;
  std::longjmp(d.back, 1);
}

void png_pass_over(png_structp, png_const_charp) {}

void png_bytes(png_structp png, png_bytep out, png_size_t count) {
  auto& d = *static_cast<Decoding*>(png_get_io_ptr(png));
  if (count > d.file.size() - d.read) png_error(png, "the file ends too early");
  std::memcpy(out, d.file.data() + d.read, count);
  d.read += count;
}

/// The pixels as stored: no gamma, no colour profile, no background under transparent ones.
void decode_png(Decoding& d) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, png_fail, png_pass_over);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  if (info == nullptr) {
    d.problem = "libpng has no memory";
    png_destroy_read_struct(&png, nullptr, nullptr);
    return;
  }
  if (setjmp(d.back) != 0) {
    png_destroy_read_struct(&png, &info, nullptr);
    return;
  }
  png_set_read_fn(png, &d, png_bytes);
  png_read_info(png, info);
  if (!too_large(d, png_get_image_height(png, info), png_get_image_width(png, info))) {
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    allocate(d, png_get_image_height(png, info), png_get_image_width(png, info));
    const std::size_t stride = 3 * static_cast<std::size_t>(d.image.width);
    if (png_get_rowbytes(png, info) != stride) png_error(png, "unexpected row size");
    for (int pass = 0; pass < passes; ++pass)
      for (std::int64_t y = 0; y < d.image.height; ++y)
        png_read_row(png, d.image.rgb.data() + static_cast<std::size_t>(y) * stride, nullptr);
    png_read_end(png, nullptr);
  }
  png_destroy_read_struct(&png, &info, nullptr);
}

}  // namespace

Image decode_image(std::span<const std::byte> file) {
  Decoding d;
  d.file = file;
  const auto* bytes = reinterpret_cast<const unsigned char*>(file.data());
  if (file.size() >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff)
    decode_jpeg(d);
  else if (file.size() >= 8 && png_sig_cmp(bytes, 0, 8) == 0)
    decode_png(d);
  else
    d.problem = "is neither JPEG nor PNG";
  if (!d.problem.empty()) throw InputError(d.problem);
  return std::move(d.image);
}

}  // namespace bitplan
