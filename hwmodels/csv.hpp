#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bitplan {

/// One line of a CSV file with its number, for messages.
struct CsvRow {
  int line = 0;                     ///< from 1
  std::vector<std::string> fields;  ///< without surrounding blanks and quotes
};

/// The lines of a CSV file that are not blank. Fields are parted by commas; a field in double quotes may hold commas
/// and doubled quotes. LF or CRLF; a UTF-8 byte order mark is skipped. Throws InputError when the file cannot be read
/// or a quote is not closed on its line.
std::vector<CsvRow> read_csv(const std::filesystem::path& file);

}  // namespace bitplan
