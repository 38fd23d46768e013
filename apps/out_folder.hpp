#pragma once

#include <filesystem>
#include <span>
#include <string_view>

namespace bitplan {

/// Makes the folder of --out with those above it. Throws InputError naming folder and reason.
void make_out_folder(const std::filesystem::path& folder);

/// Removes NAME.npy of each name from a folder that an earlier call of the same command wrote: names[0] tells, which
/// that command always writes, before the others. It goes last, so that an interrupted removal can go on. Nothing else
/// in the folder is touched. Throws InputError as make_out_folder.
void remove_earlier_arrays(const std::filesystem::path& folder, std::span<const std::string_view> names);

}  // namespace bitplan
