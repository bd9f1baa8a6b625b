#include "file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
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

Status write_and_sync(int fd, const std::string& path, const std::vector<std::string_view>& parts) {
  if (Status status = write_parts(fd, path, parts); !status) return status;
  // mkostemp makes private files; what we write is meant to be read like any other result.
  if (::fchmod(fd, 0644) != 0) return system_error("cannot set the mode of " + path);
  if (::fsync(fd) != 0) return system_error("cannot sync " + path);
  return Done{};
}

}  // namespace

Status write_file_atomically(const std::string& wanted,
                             const std::vector<std::string_view>& parts) {
  struct stat info{};
  const bool exists = ::stat(wanted.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) {
    return Error{ErrorCode::kFileSystem, "cannot write " + wanted + ": it is a folder"};
  }
  if (exists && !S_ISREG(info.st_mode)) return write_to_device(wanted, parts);
  const std::string path = without_links(wanted);
  std::string temporary = temporary_prefix(path) + "XXXXXX";
  Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file) return system_error("cannot write " + path);
  Status status = write_and_sync(file.get(), path, parts);
  if (status && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = system_error("cannot write " + path);
  }
  if (!status) {
    ::unlink(temporary.c_str());
    return status;
  }
  const Descriptor folder(::open(parent_folder(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) {
    return system_error("cannot sync the folder of " + path);
  }
  return Done{};
}

std::string temporary_prefix(const std::string& path) { return without_links(path) + ".tmp-"; }

std::string parent_folder(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace edgesmith
