#include "file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

namespace edgesmith {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

int Descriptor::release() { return std::exchange(fd_, -1); }

void Descriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Error system_error(const std::string& what) {
  const int number = errno;
  const bool full = number == ENOSPC || number == EDQUOT;
  return {full ? ErrorCode::kDevice : ErrorCode::kFileSystem,
          what + ": " + std::strerror(number) + (full ? "; free some space there" : "")};
}

Result<OpenFile> open_file(const std::string& path) {
  OpenFile file;
  file.descriptor = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.descriptor) return system_error("cannot read " + path);
  struct stat info{};
  if (::fstat(file.descriptor.get(), &info) != 0) return system_error("cannot read " + path);
  if (!S_ISREG(info.st_mode)) {
    return Error{ErrorCode::kFileSystem, "cannot read " + path + ": it is not a regular file"};
  }
  file.bytes = static_cast<std::uint64_t>(info.st_size);
  return file;
}

Result<std::string> read_file(const std::string& path, std::uint64_t limit_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return system_error("cannot read " + path);
  return read_descriptor(file.get(), path, limit_bytes);
}

Result<std::string> read_descriptor(int fd, const std::string& name, std::uint64_t limit_bytes) {
  std::string content;
  std::array<char, 16384> buffer{};
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read " + name);
    if (got == 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(got));
    if (content.size() > limit_bytes) {
      return Error{ErrorCode::kFileSystem,
                   name + " is larger than the " + std::to_string(limit_bytes) + " bytes allowed"};
    }
  }
}

Status write_all(int fd, const void* data, std::size_t bytes) {
  const auto* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(fd, next, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("cannot write");
    next += written;
    bytes -= static_cast<std::size_t>(written);
  }
  return Done{};
}

Status write_all_at(int fd, const std::string& name, const void* data, std::size_t bytes,
                    std::uint64_t offset) {
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if (offset > kLargest || bytes > kLargest - offset) {
    return Error{ErrorCode::kFileSystem,
                 "cannot write " + name + ": it would be larger than this system's files can be"};
  }
  const auto* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::pwrite(fd, next, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("cannot write " + name);
    next += written;
    offset += static_cast<std::uint64_t>(written);
    bytes -= static_cast<std::size_t>(written);
  }
  return Done{};
}

namespace {

Status write_parts(int fd, const std::string& path, const std::vector<std::string_view>& parts) {
  for (const std::string_view part : parts) {
    if (Status status = write_all(fd, part.data(), part.size()); !status) {
      return Error{status.error().code, path + ": " + status.error().message};
    }
  }
  return Done{};
}

/// What a path names in the end, if that exists.
std::string without_links(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  return real == nullptr ? path : real.get();
}

/// Writes to a device or a pipe; a pipe that nobody reads is not waited for.
Status write_to_device(const std::string& path, const std::vector<std::string_view>& parts) {
  const Descriptor device(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!device) return system_error("cannot write " + path);
  if (::fcntl(device.get(), F_SETFL, 0) != 0) return system_error("cannot write " + path);
  return write_parts(device.get(), path, parts);
}

}  // namespace

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  struct stat info{};
  const bool exists = ::stat(path.c_str(), &info) == 0;
  if (exists && !S_ISREG(info.st_mode)) {
    return Error{ErrorCode::kFileSystem,
                 "cannot write " + path +
                     (S_ISDIR(info.st_mode) ? ": it is a folder" : ": it is no regular file")};
  }
  std::string real = without_links(path);
  std::string temporary = temporary_prefix(real) + "XXXXXX";
  Descriptor descriptor(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!descriptor) return system_error("cannot write " + real);
  return AtomicFile(std::move(descriptor), std::move(real), std::move(temporary));
}

AtomicFile::AtomicFile(Descriptor descriptor, std::string path, std::string temporary)
    : descriptor_(std::move(descriptor)),
      path_(std::move(path)),
      temporary_(std::move(temporary)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : descriptor_(std::move(other.descriptor_)),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})) {}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFile::commit() {
  // mkostemp makes private files; what we write is meant to be read like any other result.
  if (::fchmod(descriptor_.get(), 0644) != 0) {
    return system_error("cannot set the mode of " + path_);
  }
  if (::fsync(descriptor_.get()) != 0) return system_error("cannot sync " + path_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return system_error("cannot write " + path_);
  }
  temporary_.clear();
  const Descriptor folder(::open(parent_folder(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) {
    return system_error("cannot sync the folder of " + path_);
  }
  return Done{};
}

Status write_file_atomically(const std::string& path, const std::vector<std::string_view>& parts) {
  struct stat info{};
  const bool exists = ::stat(path.c_str(), &info) == 0;
  if (exists && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
    return write_to_device(path, parts);
  }
  Result<AtomicFile> file = AtomicFile::create(path);
  if (!file) return file.error();
  if (Status status = write_parts(file->descriptor(), file->path(), parts); !status) return status;
  return file->commit();
}

std::string temporary_prefix(const std::string& path) { return without_links(path) + ".tmp-"; }

std::string parent_folder(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace edgesmith
