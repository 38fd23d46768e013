#include "cluster/wire.hpp"

#include <bit>
#include <stdexcept>
#include <tuple>
#include <type_traits>

namespace bitplan {
namespace {

constexpr std::uint8_t kVersion = 1;

class Writer {
 public:
  Writer() { put(kVersion); }

  template <class T>
  void put(T value) {
    static_assert(std::is_integral_v<T>);
    const auto bits = static_cast<std::uint64_t>(value);
    for (std::size_t i = 0; i < sizeof(T); ++i) bytes_.push_back(static_cast<std::byte>(bits >> (8 * i)));
  }
  void put(double value) { put(std::bit_cast<std::uint64_t>(value)); }
  void put(const std::string& text) {
    put(static_cast<std::uint32_t>(text.size()));
    for (const char c : text) put(static_cast<std::uint8_t>(c));
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

[[noreturn]] void fail(const std::string& problem) { throw std::runtime_error("message between ranks: " + problem); }

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {
    if (const auto version = get<std::uint8_t>(); version != kVersion)
      fail("version " + std::to_string(version) + ", this program speaks " + std::to_string(kVersion));
  }

  template <class T>
  T get() {
    if constexpr (std::is_same_v<T, double>) {
      return std::bit_cast<double>(get<std::uint64_t>());
    } else {
      static_assert(std::is_integral_v<T>);
      const auto part = take(sizeof(T));
      std::uint64_t bits = 0;
      for (std::size_t i = 0; i < sizeof(T); ++i) bits |= static_cast<std::uint64_t>(part[i]) << (8 * i);
      return static_cast<T>(bits);
    }
  }
  std::string text() {
    const auto part = take(get<std::uint32_t>());
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  /// A count of items of at least `item` bytes each, so that a wild count cannot make us allocate.
  std::size_t count(std::size_t item) {
    const auto n = get<std::uint32_t>();
    if (n > bytes_.size() / item) fail("count " + std::to_string(n) + " exceeds the message");
    return n;
  }
  template <class T>
  T value_up_to(T last, const char* what) {
    const auto number = get<std::uint8_t>();
    if (number > static_cast<std::uint8_t>(last))
      fail(std::string(what) + " " + std::to_string(number) + " is unknown");
    return static_cast<T>(number);
  }
  void end() const {
    if (!bytes_.empty()) fail(std::to_string(bytes_.size()) + " bytes left over");
  }

 private:
  std::span<const std::byte> take(std::size_t n) {
    if (n > bytes_.size()) fail("truncated");
    const auto part = bytes_.first(n);
    bytes_ = bytes_.subspan(n);
    return part;
  }
  std::span<const std::byte> bytes_;
};

/// The one list of the fields of LossSums, for both directions.
template <class Sums>
auto fields(Sums& s) {
  return std::tie(s.samples, s.invalid, s.positions, s.labelled, s.predictions, s.top1, s.top5, s.agree, s.kl, s.kl2,
                  s.jsd, s.jsd2, s.mse, s.mse2, s.cosine, s.cosine2, s.nll, s.nll2, s.top1_2, s.top5_2, s.agree2,
                  s.signal, s.noise);
}
constexpr std::size_t kSumsBytes = 23 * 8;
static_assert(sizeof(LossSums) == kSumsBytes, "a new field of LossSums belongs into fields()");

void put_sums(Writer& out, std::span<const LossSums> sums) {
  out.put(static_cast<std::uint32_t>(sums.size()));
  for (const LossSums& s : sums) std::apply([&](const auto&... field) { (out.put(field), ...); }, fields(s));
}

std::vector<LossSums> get_sums(Reader& in) {
  std::vector<LossSums> sums(in.count(kSumsBytes));
  for (LossSums& s : sums)
    std::apply([&](auto&... field) { ((field = in.get<std::remove_reference_t<decltype(field)>>()), ...); }, fields(s));
  return sums;
}

}  // namespace

std::vector<std::byte> encode(const WorkUnit& unit) {
  Writer out;
  out.put(unit.id);
  out.put(static_cast<std::uint32_t>(unit.assignment.size()));
  for (const ChoiceId choice : unit.assignment) out.put(choice);
  out.put(static_cast<std::uint8_t>(unit.role));
  out.put(static_cast<std::int32_t>(unit.chunks.first));
  out.put(static_cast<std::int32_t>(unit.chunks.count));
  return out.take();
}

WorkUnit decode_unit(std::span<const std::byte> bytes) {
  Reader in(bytes);
  WorkUnit unit;
  unit.id = in.get<std::uint64_t>();
  unit.assignment.resize(in.count(sizeof(ChoiceId)));
  for (ChoiceId& choice : unit.assignment) choice = in.get<ChoiceId>();
  unit.role = in.value_up_to(Role::holdout, "data role");
  unit.chunks.first = in.get<std::int32_t>();
  unit.chunks.count = in.get<std::int32_t>();
  if (unit.chunks.first < 0 || unit.chunks.count <= 0) fail("chunk range out of bounds");
  in.end();
  return unit;
}

std::vector<std::byte> encode(const UnitResult& result) {
  Writer out;
  out.put(result.id);
  out.put(static_cast<std::uint8_t>(result.status));
  out.put(result.text);
  out.put(result.seconds);
  put_sums(out, result.sums);
  return out.take();
}

UnitResult decode_result(std::span<const std::byte> bytes) {
  Reader in(bytes);
  UnitResult result;
  result.id = in.get<std::uint64_t>();
  result.status = in.value_up_to(UnitResult::Status::cancelled, "result status");
  result.text = in.text();
  result.seconds = in.get<double>();
  result.sums = get_sums(in);
  in.end();
  return result;
}

std::vector<std::byte> encode(const Hello& hello) {
  Writer out;
  out.put(hello.identity);
  out.put(static_cast<std::int32_t>(hello.threads));
  return out.take();
}

Hello decode_hello(std::span<const std::byte> bytes) {
  Reader in(bytes);
  Hello hello{.identity = in.text(), .threads = in.get<std::int32_t>()};
  if (hello.threads < 1) fail("a rank with " + std::to_string(hello.threads) + " threads");
  in.end();
  return hello;
}

std::vector<std::byte> encode(const Departure& departure) {
  Writer out;
  out.put(static_cast<std::uint8_t>(departure.input_error));
  out.put(departure.text);
  return out.take();
}

Departure decode_departure(std::span<const std::byte> bytes) {
  Reader in(bytes);
  Departure departure{.input_error = in.value_up_to<std::uint8_t>(1, "flag") == 1, .text = in.text()};
  in.end();
  return departure;
}

std::vector<std::byte> encode(const Goodbye& goodbye) {
  Writer out;
  out.put(static_cast<std::uint8_t>(goodbye.all_alive));
  out.put(static_cast<std::int32_t>(goodbye.status));
  return out.take();
}

Goodbye decode_goodbye(std::span<const std::byte> bytes) {
  Reader in(bytes);
  const Goodbye goodbye{.all_alive = in.value_up_to<std::uint8_t>(1, "flag") == 1, .status = in.get<std::int32_t>()};
  in.end();
  return goodbye;
}

std::vector<std::byte> encode_id(std::uint64_t id) {
  Writer out;
  out.put(id);
  return out.take();
}

std::uint64_t decode_id(std::span<const std::byte> bytes) {
  Reader in(bytes);
  const auto id = in.get<std::uint64_t>();
  in.end();
  return id;
}

std::vector<std::byte> encode_sums(std::span<const LossSums> sums) {
  Writer out;
  put_sums(out, sums);
  return out.take();
}

std::vector<LossSums> decode_sums(std::span<const std::byte> bytes) {
  Reader in(bytes);
  auto sums = get_sums(in);
  in.end();
  return sums;
}

}  // namespace bitplan
