#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace bitplan {

/// Makes the folder of --out with those above it. Throws InputError naming folder and reason.
void make_out_folder(const std::filesystem::path& folder);

/// Removes NAME.npy of each name from a folder that an earlier call of the same command wrote: names[0] tells, which
/// that command always writes, before the others. It goes last, so that an interrupted removal can go on. Links, folders
/// and all else are not touched. Returns what was removed, "values.npy, bias.npy". Throws InputError as make_out_folder.
std::string remove_earlier_arrays(const std::filesystem::path& folder, std::span<const std::string_view> names);

}  // namespace bitplan
