#include "core/npy.hpp"

#include <zip.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "core/error.hpp"
#include "core/files.hpp"

namespace bitplan {
namespace {

struct Kind {
  std::string_view descr;
  DType dtype;
};
constexpr std::array kKinds{Kind{"<f4", DType::f32}, Kind{"<f8", DType::f64}, Kind{"<f2", DType::f16},
                            Kind{"|i1", DType::i8},  Kind{"|u1", DType::u8},  Kind{"<i2", DType::i16},
                            Kind{"<u2", DType::u16}, Kind{"<i4", DType::i32}, Kind{"<u4", DType::u32},
                            Kind{"<i8", DType::i64}, Kind{"<u8", DType::u64}, Kind{"|b1", DType::boolean}};

struct Header {
  DType dtype = DType::f32;
  bool fortran = false;
  Shape shape;
  std::size_t data_begin = 0;
};

/// The text after `'key':`, blanks skipped; empty when the key is not there.
std::string_view after_key(std::string_view dict, const std::string& key) {
  const auto at = dict.find("'" + key + "'");
  if (at == std::string_view::npos) return {};
  dict.remove_prefix(at + key.size() + 2);
  while (!dict.empty() && (dict.front() == ' ' || dict.front() == ':')) dict.remove_prefix(1);
  return dict;
}

Shape parse_shape(std::string_view text, const std::string& name) {
  const auto close = text.find(')');
  if (text.empty() || text.front() != '(' || close == std::string_view::npos)
    throw InputError(name + ": damaged .npy header: no shape");
  text = text.substr(1, close - 1);
  Shape shape;
  for (;;) {
    while (!text.empty() && (text.front() == ' ' || text.front() == ',')) text.remove_prefix(1);
    if (text.empty()) return shape;
    std::int64_t d = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), d);
    if (error != std::errc{} || d < 0) throw InputError(name + ": damaged .npy header: shape (" + std::string(text) + ")");
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    shape.push_back(d);
  }
}

Header parse_header(std::span<const std::byte> file, const std::string& name) {
  const auto* text = reinterpret_cast<const char*>(file.data());
  if (file.size() < 10 || std::string_view(text, 6) != "\x93NUMPY") throw InputError(name + ": is not a .npy file");
  const int version = static_cast<int>(file[6]);
  if (version < 1 || version > 3) throw InputError(name + ": .npy version " + std::to_string(version) + "; known: 1 to 3");
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  if (file.size() < 8 + length_bytes) throw InputError(name + ": truncated .npy header");
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) length |= static_cast<std::size_t>(file[8 + i]) << (8 * i);
  const auto begin = 8 + length_bytes;
  if (length > file.size() - begin) throw InputError(name + ": truncated .npy header");
  const std::string_view dict(text + begin, length);

  Header header;
  header.data_begin = begin + length;
  const auto descr = after_key(dict, "descr");
  const auto quote = descr.find('\'', 1);
  if (descr.empty() || descr.front() != '\'' || quote == std::string_view::npos)
    throw InputError(name + ": unsupported .npy element type (structured or damaged)");
  const auto code = descr.substr(1, quote - 1);
  const auto* kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.descr == code; });
  if (kind == kKinds.end())
    throw InputError(name + ": .npy element type '" + std::string(code) +
                     "' is not supported; known: little-endian float, integer and bool");
  header.dtype = kind->dtype;
  header.fortran = after_key(dict, "fortran_order").starts_with("True");
  header.shape = parse_shape(after_key(dict, "shape"), name);
  return header;
}

/// Column-major bytes into row-major order.
Tensor from_fortran(const Tensor& in) {
  Tensor out(in.dtype(), in.shape());
  const auto width = size_of(in.dtype());
  auto* to = out.mutable_bytes();
  Shape index(in.shape().size(), 0);
  for (std::size_t i = 0; i < in.size(); ++i) {
    std::size_t at = 0;
    for (std::size_t d = index.size(); d-- > 0;)
      at = at * static_cast<std::size_t>(in.shape()[d]) + static_cast<std::size_t>(index[d]);
    std::memcpy(to + i * width, in.bytes() + at * width, width);
    for (std::size_t d = index.size(); d-- > 0;) {
      if (++index[d] < in.shape()[d]) break;
      index[d] = 0;
    }
  }
  return out;
}

Tensor parse_npy(std::span<const std::byte> file, const std::string& name, std::shared_ptr<const void> owner) {
  const auto header = parse_header(file, name);
  const auto bytes = static_cast<std::size_t>(element_count(header.shape)) * size_of(header.dtype);
  const auto there = file.size() - header.data_begin;
  if (there < bytes)
    throw InputError(name + ": truncated: shape " + to_string(header.shape) + " needs " + std::to_string(bytes) +
                     " bytes, " + std::to_string(there) + " are there");
  const Tensor view(header.dtype, header.shape, file.data() + header.data_begin, owner);
  if (header.fortran && header.shape.size() > 1) return from_fortran(view);
  // Data in a header of odd length would be misaligned for the element type: copy then.
  if (reinterpret_cast<std::uintptr_t>(view.bytes()) % size_of(header.dtype) == 0) return view;
  Tensor copy(header.dtype, header.shape);
  if (bytes > 0) std::memcpy(copy.mutable_bytes(), view.bytes(), bytes);
  return copy;
}

std::string npy_bytes(const Tensor& tensor) {
  const auto* kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.dtype == tensor.dtype(); });
  if (kind == kKinds.end()) throw std::runtime_error("no .npy element type for " + std::string(name_of(tensor.dtype())));
  std::string shape = "(";
  for (const auto d : tensor.shape()) shape += std::to_string(d) + ", ";
  shape += ")";
  std::string dict = "{'descr': '" + std::string(kind->descr) + "', 'fortran_order': False, 'shape': " + shape + ", }";
  while ((10 + dict.size() + 1) % 64 != 0) dict += ' ';
  dict += '\n';
  std::string out = "\x93NUMPY";
  out += '\x01';
  out += '\x00';
  out += static_cast<char>(dict.size() & 255);
  out += static_cast<char>(dict.size() >> 8);
  out += dict;
  if (tensor.size() > 0) out.append(reinterpret_cast<const char*>(tensor.bytes()), tensor.byte_size());
  return out;
}

struct ZipCloser {
  void operator()(zip_t* zip) const { zip_discard(zip); }
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

}  // namespace

Tensor read_npy(const std::filesystem::path& file) {
  const auto mapped = MappedFile::open(file);
  return parse_npy(mapped->bytes(), file.string(), mapped);
}

std::map<std::string, Tensor> read_npz(const std::filesystem::path& file) {
  int error = 0;
  const std::unique_ptr<zip_t, ZipCloser> zip(zip_open(file.c_str(), ZIP_RDONLY, &error));
  if (!zip) {
    zip_error_t why;
    zip_error_init_with_code(&why, error);
    const std::string text = zip_error_strerror(&why);
    zip_error_fini(&why);
    throw InputError(file.string() + ": cannot be read as .npz: " + text);
  }
  std::map<std::string, Tensor> members;
  for (zip_int64_t i = 0; i < zip_get_num_entries(zip.get(), 0); ++i) {
    zip_stat_t info;
    if (zip_stat_index(zip.get(), static_cast<zip_uint64_t>(i), 0, &info) != 0)
      throw InputError(file.string() + ": damaged .npz directory");
    std::string name = info.name;
    const auto place = file.string() + ":" + name;
    // A deflated member is at most about 1030 times smaller than its content.
    if (info.size > (info.comp_size + 64) * 1100) throw InputError(place + ": damaged: declares " + std::to_string(info.size) + " bytes");
    auto content = std::make_shared<std::vector<std::byte>>(info.size);
    const std::unique_ptr<zip_file_t, ZipCloser> member(zip_fopen_index(zip.get(), static_cast<zip_uint64_t>(i), 0));
    if (!member || zip_fread(member.get(), content->data(), info.size) != static_cast<zip_int64_t>(info.size))
      throw InputError(place + ": damaged .npz member");
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    members.emplace(name, parse_npy(*content, place, content));
  }
  return members;
}

void write_npy(const std::filesystem::path& file, const Tensor& tensor) {
  write_text_atomically(file, npy_bytes(tensor));
}

void write_npz(const std::filesystem::path& file, const std::map<std::string, Tensor>& members) {
  int error = 0;
  std::unique_ptr<zip_t, ZipCloser> zip(zip_open(file.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error));
  if (!zip) throw std::runtime_error(file.string() + ": cannot be written");
  std::vector<std::string> contents;  // libzip reads them at close
  contents.reserve(members.size());
  for (const auto& [name, tensor] : members) {
    contents.push_back(npy_bytes(tensor));
    auto* source = zip_source_buffer(zip.get(), contents.back().data(), contents.back().size(), 0);
    const auto index = zip_file_add(zip.get(), (name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) throw std::runtime_error(file.string() + ": cannot be written: " + zip_strerror(zip.get()));
    zip_file_set_mtime(zip.get(), static_cast<zip_uint64_t>(index), 315532800, 0);  // 1980: equal runs, equal files
  }
  if (zip_close(zip.get()) != 0) throw std::runtime_error(file.string() + ": cannot be written: " + zip_strerror(zip.get()));
  zip.release();  // closed
}

}  // namespace bitplan
