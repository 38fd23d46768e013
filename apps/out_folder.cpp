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

std::string remove_earlier_arrays(const std::filesystem::path& folder, std::span<const std::string_view> names) {
  const auto file = [&](std::string_view name) { return folder / (std::string(name) + ".npy"); };
  std::error_code error;
  std::string removed;
  const auto is_array = [&](std::string_view name) {  // neither a link nor a folder
    return std::filesystem::is_regular_file(std::filesystem::symlink_status(file(name), error));
  };
  if (!is_array(names.front())) return removed;
  for (std::size_t i = names.size(); i-- > 0;) {
    if (!is_array(names[i])) continue;
    std::filesystem::remove(file(names[i]), error);
    removed.insert(0, std::string(names[i]) + ".npy" + (removed.empty() ? "" : ", "));
    if (error)
      throw InputError("the output directory cannot be used: " + file(names[i]).string() +
                       " of an earlier choice cannot be removed: " + error.message());
  }
  return removed;
}

}  // namespace bitplan
