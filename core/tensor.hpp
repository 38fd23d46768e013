#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitplan {

/// Element types of host tensors (.npy files, ONNX constants, batches).
enum class DType : std::uint8_t { f32, f64, f16, bf16, i8, u8, i16, u16, i32, u32, i64, u64, boolean };

std::size_t size_of(DType dtype);            ///< bytes of one element
std::string_view name_of(DType dtype);       ///< "float32", "int64", "bool", …

template <class T> constexpr DType dtype_of();
template <> constexpr DType dtype_of<float>() { return DType::f32; }
template <> constexpr DType dtype_of<double>() { return DType::f64; }
template <> constexpr DType dtype_of<std::int8_t>() { return DType::i8; }
template <> constexpr DType dtype_of<std::uint8_t>() { return DType::u8; }
template <> constexpr DType dtype_of<std::int16_t>() { return DType::i16; }
template <> constexpr DType dtype_of<std::uint16_t>() { return DType::u16; }
template <> constexpr DType dtype_of<std::int32_t>() { return DType::i32; }
template <> constexpr DType dtype_of<std::uint32_t>() { return DType::u32; }
template <> constexpr DType dtype_of<std::int64_t>() { return DType::i64; }
template <> constexpr DType dtype_of<std::uint64_t>() { return DType::u64; }
template <> constexpr DType dtype_of<bool>() { return DType::boolean; }

using Shape = std::vector<std::int64_t>;

/// Product of the dimensions. Throws InputError when one is negative or the product passes 2^48.
std::int64_t element_count(const Shape& shape);
/// "1x3x32x32"; "scalar" for rank 0.
std::string to_string(const Shape& shape);

/// A dense row-major array in host memory. A copy shares the bytes; writable() copies them first when
/// they are shared, so a Tensor behaves as a value.
class Tensor {
 public:
  Tensor() = default;                                   ///< float32, shape [0]
  Tensor(DType dtype, Shape shape);                     ///< zeroed
  /// A view of bytes that `owner` keeps alive (a mapped file). bytes must hold the whole tensor.
  Tensor(DType dtype, Shape shape, const std::byte* bytes, std::shared_ptr<const void> owner);
  template <class T>
  static Tensor of(Shape shape, std::span<const T> values) {
    Tensor t(dtype_of<T>(), std::move(shape));
    assert(values.size() == t.size());
    if (!values.empty()) std::memcpy(t.mutable_bytes(), values.data(), values.size_bytes());
    return t;
  }
  template <class T>
  static Tensor of(Shape shape, const std::vector<T>& values) { return of(std::move(shape), std::span<const T>(values)); }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::size_t size() const { return size_; }                        ///< elements
  std::size_t byte_size() const { return size_ * size_of(dtype_); }
  const std::byte* bytes() const { return bytes_; }
  std::byte* mutable_bytes();                                       ///< copies first when shared or a view

  template <class T>
  std::span<const T> values() const {
    assert(dtype_ == dtype_of<T>());
    return {reinterpret_cast<const T*>(bytes_), size_};
  }
  template <class T>
  std::span<T> writable() {
    assert(dtype_ == dtype_of<T>());
    return {reinterpret_cast<T*>(mutable_bytes()), size_};
  }

  /// The same bytes under another shape of equally many elements.
  Tensor reshaped(Shape shape) const;
  /// Converted element by element (float → integer truncates; to bool: != 0).
  Tensor cast(DType dtype) const;
  /// Integers of any integer type (or bool), as int64. Asserts an integer type.
  std::vector<std::int64_t> integers() const;

 private:
  DType dtype_ = DType::f32;
  Shape shape_{0};
  std::size_t size_ = 0;
  const std::byte* bytes_ = nullptr;
  std::shared_ptr<std::byte[]> owned_;       ///< set when the bytes are ours
  std::shared_ptr<const void> owner_;        ///< set when they are a view
};

float f16_to_f32(std::uint16_t bits);
float bf16_to_f32(std::uint16_t bits);

}  // namespace bitplan
