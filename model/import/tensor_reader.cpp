#include "model/import/tensor_reader.hpp"

#include <onnx/onnx_pb.h>

#include <charconv>
#include <optional>

#include "core/error.hpp"
#include "model/onnx_types.hpp"

namespace bitplan {
namespace {

[[noreturn]] void fail_tensor(const onnx::TensorProto& tensor, const std::string& problem) {
  throw InputError("tensor '" + tensor.name() + "': " + problem);
}

/// Bytes that are in memory already: a view when they are aligned and valid as they are, else a copy.
Tensor view_or_copy(DType dtype, const Shape& shape, const std::byte* bytes, std::shared_ptr<const void> owner) {
  const Tensor view(dtype, shape, bytes, std::move(owner));
  if (dtype == DType::boolean) {  // any byte but 0 and 1 would be undefined as a bool
    Tensor flags(dtype, shape);
    const auto out = flags.writable<bool>();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = bytes[i] != std::byte{0};
    return flags;
  }
  if (reinterpret_cast<std::uintptr_t>(bytes) % size_of(dtype) == 0) return view;
  Tensor copy(dtype, shape);
  if (copy.size() > 0) std::memcpy(copy.mutable_bytes(), bytes, copy.byte_size());
  return copy;
}

template <class Stored, class Field>
Tensor from_field(const onnx::TensorProto& tensor, DType dtype, const Shape& shape, const Field& field) {
  if (static_cast<std::int64_t>(field.size()) != element_count(shape))
    fail_tensor(tensor, "shape " + to_string(shape) + " needs " + std::to_string(element_count(shape)) +
                            " values, the file has " + std::to_string(field.size()));
  Tensor out(dtype, shape);
  std::byte* to = out.mutable_bytes();
  for (const auto value : field) {
    const auto stored = static_cast<Stored>(value);
    std::memcpy(to, &stored, sizeof stored);
    to += sizeof stored;
  }
  return out;
}

/// The repeated fields of TensorProto that hold values when raw_data does not.
Tensor read_fields(const onnx::TensorProto& t, DType dtype, const Shape& shape) {
  switch (dtype) {
    case DType::f32:
      return from_field<float>(t, dtype, shape, t.float_data());
    case DType::f64:
      return from_field<double>(t, dtype, shape, t.double_data());
    case DType::i64:
      return from_field<std::int64_t>(t, dtype, shape, t.int64_data());
    case DType::u64:
      return from_field<std::uint64_t>(t, dtype, shape, t.uint64_data());
    case DType::u32:
      return from_field<std::uint32_t>(t, dtype, shape, t.uint64_data());
    case DType::i32:
      return from_field<std::int32_t>(t, dtype, shape, t.int32_data());
    case DType::i16:
      return from_field<std::int16_t>(t, dtype, shape, t.int32_data());
    case DType::i8:
      return from_field<std::int8_t>(t, dtype, shape, t.int32_data());
    case DType::u8:
      return from_field<std::uint8_t>(t, dtype, shape, t.int32_data());
    case DType::boolean:
      return from_field<bool>(t, dtype, shape, t.int32_data());
    case DType::u16:
    case DType::f16:
    case DType::bf16:
      return from_field<std::uint16_t>(t, dtype, shape, t.int32_data());
  }
  fail_tensor(t, "has no data");
}

std::size_t decimal(const onnx::TensorProto& tensor, const std::string& key, const std::string& text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    fail_tensor(tensor, "external data: " + key + " '" + text + "' is not a number");
  return value;
}

/// Whether `target` lies in `folder` or below; both real paths.
bool inside(const std::filesystem::path& target, const std::filesystem::path& folder) {
  const auto relative = target.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

/// The file of external data. With all links followed it must lie in the model's folder or, when the model is a link
/// itself (a cache that keeps its files elsewhere), in the folder of the file that it leads to.
std::filesystem::path external_file(const onnx::TensorProto& tensor, const std::filesystem::path& model,
                                    const std::string& location) {
  const std::filesystem::path relative = std::filesystem::path(location).lexically_normal();
  const auto refuse = [&] {
    fail_tensor(tensor, "external data: location '" + location + "' is not inside the model's folder");
  };
  if (location.empty() || relative.is_absolute() || *relative.begin() == "..") refuse();
  const std::filesystem::path given = model.has_parent_path() ? model.parent_path() : ".";
  std::error_code error;
  const auto folder = std::filesystem::weakly_canonical(given, error);
  const auto real_folder = std::filesystem::weakly_canonical(model, error).parent_path();
  auto target = std::filesystem::weakly_canonical(folder / relative, error);
  if (!std::filesystem::exists(target, error))
    if (const auto beside = std::filesystem::weakly_canonical(real_folder / relative, error);
        std::filesystem::exists(beside, error))
      target = beside;
  if (target.empty() || !(inside(target, folder) || inside(target, real_folder))) refuse();
  return target;
}

}  // namespace

DType supported_type(std::int64_t number, const std::string& place) {
  if (const auto dtype = dtype_of_onnx(number)) return *dtype;
  throw InputError(place + ": element type " + std::to_string(number) +
                   " of ONNX is not supported (strings, complex, float8, 4-bit and 2-bit types are not)");
}

TensorReader::TensorReader(const std::filesystem::path& model_file, std::shared_ptr<const onnx::ModelProto> model)
    : file_(model_file), model_(std::move(model)) {}

Tensor TensorReader::read(const onnx::TensorProto& tensor) {
  const DType dtype = supported_type(tensor.data_type(), "tensor '" + tensor.name() + "'");
  const Shape shape(tensor.dims().begin(), tensor.dims().end());
  if (shape.size() > 64) fail_tensor(tensor, "more than 64 dimensions");
  std::int64_t count = 0;
  try {
    count = element_count(shape);
  } catch (const InputError& e) {
    fail_tensor(tensor, e.what());
  }
  if (tensor.has_segment()) fail_tensor(tensor, "segmented tensors are not supported");
  if (tensor.data_location() == onnx::TensorProto_DataLocation_EXTERNAL) return read_external(tensor, dtype, shape);
  if (!tensor.has_raw_data()) return read_fields(tensor, dtype, shape);
  const std::string& raw = tensor.raw_data();
  if (raw.size() != static_cast<std::size_t>(count) * size_of(dtype))
    fail_tensor(tensor, "shape " + to_string(shape) + " of " + std::string(name_of(dtype)) + " needs " +
                            std::to_string(static_cast<std::size_t>(count) * size_of(dtype)) + " bytes, the file has " +
                            std::to_string(raw.size()));
  return view_or_copy(dtype, shape, reinterpret_cast<const std::byte*>(raw.data()), model_);
}

Tensor TensorReader::read_external(const onnx::TensorProto& tensor, DType dtype, const Shape& shape) {
  std::string location;
  std::size_t offset = 0;
  std::optional<std::size_t> length;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = decimal(tensor, "offset", entry.value());
    if (entry.key() == "length") length = decimal(tensor, "length", entry.value());
  }
  const auto path = external_file(tensor, file_, location);
  auto& file = files_[path];
  if (!file) {
    try {
      file = MappedFile::open(path);
    } catch (const InputError& e) {
      fail_tensor(tensor, std::string("external data: ") + e.what());
    }
  }
  const std::size_t needed = static_cast<std::size_t>(element_count(shape)) * size_of(dtype),
                    have = file->bytes().size();
  if (length.value_or(needed) != needed)
    fail_tensor(tensor, "external data: length " + std::to_string(*length) + ", but shape " + to_string(shape) +
                            " of " + std::string(name_of(dtype)) + " needs " + std::to_string(needed) + " bytes");
  if (offset > have || needed > have - offset)
    fail_tensor(tensor, "external data: '" + location + "' has " + std::to_string(have) + " bytes; " +
                            std::to_string(needed) + " at offset " + std::to_string(offset) + " are needed");
  return view_or_copy(dtype, shape, file->bytes().data() + offset, file);
}

}  // namespace bitplan
