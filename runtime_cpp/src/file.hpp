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

/// The same at an offset; `name` is for messages.
Status write_all_at(int fd, const std::string& name, const void* data, std::size_t bytes,
                    std::uint64_t offset);

/// A regular file that appears under its name only when complete: written under a temporary name in
/// the same folder, synced, renamed. Where a link leads to another file, that is replaced. Without
/// commit() nothing stays.
class AtomicFile {
 public:
  /// \return kFileSystem if it cannot be written, or the path names what is no regular file.
  static Result<AtomicFile> create(const std::string& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) = delete;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  int descriptor() const { return descriptor_.get(); }
  const std::string& path() const { return path_; }

  /// Puts the file in its place; once.
  Status commit();

 private:
  AtomicFile(Descriptor descriptor, std::string path, std::string temporary);

  Descriptor descriptor_;
  std::string path_;
  std::string temporary_;  ///< Empty once nothing is left to remove.
};

/// Replaces `path` by a file of these parts in one step: written under a temporary name in the same
/// folder, synced, renamed. Where a link leads to another file, that is replaced; a device or a
/// pipe is written to.
Status write_file_atomically(const std::string& path, const std::vector<std::string_view>& parts);

/// What the temporary names of write_file_atomically() begin with.
std::string temporary_prefix(const std::string& path);

/// The folder part of a path; "." if there is none.
std::string parent_folder(const std::string& path);

}  // namespace edgesmith
