/// \file
/// Running programs and handling files in tests.
#pragma once

#include <string>
#include <vector>

namespace edgesmith::test {

struct ProgramResult {
  int exit_code = -1;  ///< 128 + signal if one ended it.
  std::string output;  ///< stdout.
};

/// Runs a program to its end. \param interrupt_after_ms If positive, sends SIGINT to it then.
ProgramResult run_program(const std::vector<std::string>& arguments, int interrupt_after_ms = 0);

/// A folder that goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Writes a file and the folders above it.
void write_text(const std::string& path, const std::string& text, unsigned mode = 0644);
std::string read_text(const std::string& path);

}  // namespace edgesmith::test
