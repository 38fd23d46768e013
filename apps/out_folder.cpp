#include "apps/out_folder.hpp"

#include <string>
#include <system_error>

#include "core/error.hpp"

namespace bitplan {

void make_out_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw InputError(folder.string() + ": the output directory cannot be made: " + error.message());
}

void remove_earlier_arrays(const std::filesystem::path& folder, std::span<const std::string_view> names) {
  const auto file = [&](std::string_view name) { return folder / (std::string(name) + ".npy"); };
  std::error_code error;
  if (!std::filesystem::exists(file(names.front()), error)) return;
  for (std::size_t i = names.size(); i-- > 0;) {
    std::filesystem::remove(file(names[i]), error);
    if (error)
      throw InputError("the output directory cannot be used: " + file(names[i]).string() +
                       " of an earlier choice cannot be removed: " + error.message());
  }
}

}  // namespace bitplan
