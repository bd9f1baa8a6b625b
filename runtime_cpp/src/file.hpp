/// \file
/// Small helpers over POSIX files. Private to the runtime, the harness and the installer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "edgesmith/result.hpp"

namespace edgesmith {

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release();
  void reset();

 private:
  int fd_;
};

/// A regular file that is open for reading.
struct OpenFile {
  Descriptor descriptor;
  std::uint64_t bytes = 0;
};

/// Opens a regular file; what is none (a folder, a pipe that nobody writes to) is refused, not
/// waited for. \return kFileSystem if it cannot be read.
Result<OpenFile> open_file(const std::string& path);

/// kFileSystem, or kDevice when the file system is full, with the system's words for errno.
Error system_error(const std::string& what);

/// Reads a file of at most `limit_bytes`. \return kFileSystem if it cannot be read or is larger.
Result<std::string> read_file(const std::string& path, std::uint64_t limit_bytes);

/// The same from an open file, from where it stands; `name` is for messages.
Result<std::string> read_descriptor(int fd, const std::string& name, std::uint64_t limit_bytes);

/// Writes everything, through interruptions and short writes.
Status write_all(int fd, const void* data, std::size_t bytes);

/// Replaces `wanted` by a file of these parts in one step: written under a temporary name in the
/// same folder, synced, renamed. Where a link leads to another file, that is replaced; a device or
/// a pipe is written to.
Status write_file_atomically(const std::string& wanted, const std::vector<std::string_view>& parts);

/// What the temporary names of write_file_atomically() begin with.
std::string temporary_prefix(const std::string& path);

/// The folder part of a path; "." if there is none.
std::string parent_folder(const std::string& path);

}  // namespace edgesmith
