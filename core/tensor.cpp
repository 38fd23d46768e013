#include "core/tensor.hpp"
#include <limits>
#include <type_traits>

#include <bit>

#include "core/error.hpp"

namespace bitplan {

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::i8: case DType::u8: case DType::boolean: return 1;
    case DType::f16: case DType::bf16: case DType::i16: case DType::u16: return 2;
    case DType::f32: case DType::i32: case DType::u32: return 4;
    case DType::f64: case DType::i64: case DType::u64: return 8;
  }
  return 0;
}

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return "float32";
    case DType::f64: return "float64";
    case DType::f16: return "float16";
    case DType::bf16: return "bfloat16";
    case DType::i8: return "int8";
    case DType::u8: return "uint8";
    case DType::i16: return "int16";
    case DType::u16: return "uint16";
    case DType::i32: return "int32";
    case DType::u32: return "uint32";
    case DType::i64: return "int64";
    case DType::u64: return "uint64";
    case DType::boolean: return "bool";
  }
  return "?";
}

std::int64_t element_count(const Shape& shape) {
  constexpr std::int64_t kMost = std::int64_t{1} << 48;
  std::int64_t count = 1;
  bool empty = false;
  for (const auto d : shape) {
    if (d < 0) throw InputError("shape " + to_string(shape) + " has a negative dimension");
    if (d == 0) empty = true;
    else if (count > kMost / d) throw InputError("shape " + to_string(shape) + " has too many elements");
    else count *= d;
  }
  return empty ? 0 : count;
}

std::string to_string(const Shape& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (const auto d : shape) text += (text.empty() ? "" : "x") + std::to_string(d);
  return text;
}

Tensor::Tensor(DType dtype, Shape shape)
    : dtype_(dtype), shape_(std::move(shape)), size_(static_cast<std::size_t>(element_count(shape_))) {
  owned_ = std::make_shared<std::byte[]>(byte_size());
  bytes_ = owned_.get();
}

Tensor::Tensor(DType dtype, Shape shape, const std::byte* bytes, std::shared_ptr<const void> owner)
    : dtype_(dtype),
      shape_(std::move(shape)),
      size_(static_cast<std::size_t>(element_count(shape_))),
      bytes_(bytes),
      owner_(std::move(owner)) {}

std::byte* Tensor::mutable_bytes() {
  if (!owned_ || owned_.use_count() > 1) {
    auto copy = std::make_shared<std::byte[]>(byte_size());
    if (size_ > 0) std::memcpy(copy.get(), bytes_, byte_size());
    owned_ = std::move(copy);
    bytes_ = owned_.get();
    owner_.reset();
  }
  return owned_.get();
}

Tensor Tensor::reshaped(Shape shape) const {
  assert(static_cast<std::size_t>(element_count(shape)) == size_);
  Tensor other = *this;
  other.shape_ = std::move(shape);
  return other;
}

float f16_to_f32(std::uint16_t h) {
  const std::uint32_t sign = (h & 0x8000u) << 16, exponent = (h >> 10) & 31u, mantissa = h & 1023u;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float tiny = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -tiny : tiny;
}

float bf16_to_f32(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

namespace {

/// Calls visit(span of the elements as they are stored); the 16-bit floats arrive converted.
template <class Visit>
void visit_values(const Tensor& t, const Visit& visit) {
  const auto widen = [&](float (*convert)(std::uint16_t)) {
    std::vector<float> wide(t.size());
    for (std::size_t i = 0; i < wide.size(); ++i) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, t.bytes() + 2 * i, 2);
      wide[i] = convert(bits);
    }
    visit(std::span<const float>(wide));
  };
  switch (t.dtype()) {
    case DType::f32: return visit(t.values<float>());
    case DType::f64: return visit(t.values<double>());
    case DType::f16: return widen(f16_to_f32);
    case DType::bf16: return widen(bf16_to_f32);
    case DType::i8: return visit(t.values<std::int8_t>());
    case DType::u8: return visit(t.values<std::uint8_t>());
    case DType::i16: return visit(t.values<std::int16_t>());
    case DType::u16: return visit(t.values<std::uint16_t>());
    case DType::i32: return visit(t.values<std::int32_t>());
    case DType::u32: return visit(t.values<std::uint32_t>());
    case DType::i64: return visit(t.values<std::int64_t>());
    case DType::u64: return visit(t.values<std::uint64_t>());
    case DType::boolean:
      return visit(std::span<const std::uint8_t>(reinterpret_cast<const std::uint8_t*>(t.bytes()), t.size()));
  }
}

/// Float to integer outside the integer's range is undefined in C++: saturate, NaN becomes 0.
template <class To, class From>
To convert(From v) {
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (!(v == v)) return 0;
    if (v <= static_cast<From>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    if (v >= static_cast<From>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
  }
  return static_cast<To>(v);
}

template <class To>
Tensor cast_to(const Tensor& from) {
  Tensor to(dtype_of<To>(), from.shape());
  const auto out = to.writable<To>();
  visit_values(from, [&](auto values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if constexpr (std::is_same_v<To, bool>) out[i] = values[i] != 0;
      else out[i] = convert<To>(values[i]);
    }
  });
  return to;
}

}  // namespace

Tensor Tensor::cast(DType dtype) const {
  if (dtype == dtype_) return *this;
  switch (dtype) {
    case DType::f32: return cast_to<float>(*this);
    case DType::f64: return cast_to<double>(*this);
    case DType::i8: return cast_to<std::int8_t>(*this);
    case DType::u8: return cast_to<std::uint8_t>(*this);
    case DType::i16: return cast_to<std::int16_t>(*this);
    case DType::u16: return cast_to<std::uint16_t>(*this);
    case DType::i32: return cast_to<std::int32_t>(*this);
    case DType::u32: return cast_to<std::uint32_t>(*this);
    case DType::i64: return cast_to<std::int64_t>(*this);
    case DType::u64: return cast_to<std::uint64_t>(*this);
    case DType::boolean: return cast_to<bool>(*this);
    case DType::f16: case DType::bf16: break;
  }
  throw InputError("a tensor cannot be converted to " + std::string(name_of(dtype)));
}

std::vector<std::int64_t> Tensor::integers() const {
  assert(dtype_ != DType::f32 && dtype_ != DType::f64 && dtype_ != DType::f16 && dtype_ != DType::bf16);
  const Tensor wide = cast(DType::i64);
  const auto values = wide.values<std::int64_t>();
  return {values.begin(), values.end()};
}

}  // namespace bitplan
