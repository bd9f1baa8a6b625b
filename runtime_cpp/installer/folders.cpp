#include "folders.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "digest.hpp"

namespace edgesmith::installer {
namespace {

namespace fs = std::filesystem;

Error file_error(const std::string& what, const std::error_code& error) {
  errno = error.value();
  return system_error(what);
}

/// \param needed Permissions that the file must have.
bool holds(const std::string& root, const std::string& relative, const ManifestFile& file,
           unsigned needed) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  const Result<Descriptor> opened = open_below(root, relative, O_RDONLY | O_NONBLOCK);
  struct stat info{};
  if (!opened || ::fstat(opened->get(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  if ((info.st_mode & needed) != needed) return false;
  if (static_cast<std::uint64_t>(info.st_size) != file.bytes) return false;
  const Result<FileDigest> digest = digest_descriptor(opened->get(), relative);
  return digest && digest->bytes == file.bytes && digest->sha256 == file.sha256;
}

/// Some file systems have nothing to sync in a folder, and say so.
bool sync_failed(int descriptor) { return ::fsync(descriptor) != 0 && errno != EINVAL; }

}  // namespace

Result<Descriptor> open_below(const std::string& root, const std::string& relative, int flags) {
  if (!is_safe_relative_path(relative)) {
    return Error{ErrorCode::kIntegrity, "unsafe path " + relative};
  }
  // Flags of POSIX are signed.
  // NOLINTNEXTLINE(bugprone-signed-bitwise)
  Descriptor folder(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return system_error("cannot open " + root);
  std::size_t start = 0;
  for (;;) {
    const std::size_t slash = relative.find('/', start);
    const std::string part = relative.substr(start, slash - start);
    const bool last = slash == std::string::npos;
    const int how = last ? flags : O_RDONLY | O_DIRECTORY;
    // NOLINTNEXTLINE(bugprone-signed-bitwise)
    Descriptor next(::openat(folder.get(), part.c_str(), how | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!next) return system_error("cannot open " + root + "/" + relative);
    if (last) return next;
    folder = std::move(next);
    start = slash + 1;
  }
}

bool matches(const std::string& root, const std::string& relative, const ManifestFile& file) {
  return holds(root, relative, file, 0);
}

bool is_installed(const std::string& root, const ManifestFile& file) {
  return holds(root, file.path, file, file.mode & static_cast<unsigned>(S_IXUSR));
}

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return Done{};
  if (errno != EEXIST) return system_error("cannot make the folder " + path);
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return system_error("cannot read " + path);
  if (!S_ISDIR(info.st_mode)) return Error{ErrorCode::kIntegrity, path + " is not a folder"};
  return Done{};
}

Status make_folders_of(const std::string& root, const std::string& relative) {
  for (std::size_t slash = relative.find('/'); slash != std::string::npos;
       slash = relative.find('/', slash + 1)) {
    if (Status status = make_folder(root + "/" + relative.substr(0, slash)); !status) return status;
  }
  return Done{};
}

Result<std::vector<std::string>> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  while (!error && entry != fs::directory_iterator()) {
    names.push_back(entry->path().filename().string());
    entry.increment(error);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return file_error("cannot read the folder " + folder, error);
  }
  return names;
}

Status sync_path(const std::string& path) {
  const Descriptor opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!opened || sync_failed(opened.get())) return system_error("cannot sync " + path);
  return Done{};
}

Status sync_tree(const std::string& folder) {
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  while (!error && entry != fs::recursive_directory_iterator()) {
    if (entry->is_directory(error)) {
      if (Status status = sync_path(entry->path().string()); !status) return status;
    }
    if (!error) entry.increment(error);
  }
  if (error) return file_error("cannot read the folder " + folder, error);
  return sync_path(folder);
}

Status sync_upwards(const std::string& path) {
  std::error_code error;
  fs::path folder = fs::canonical(path, error);
  struct stat own{};
  if (error || ::stat(path.c_str(), &own) != 0) return system_error("cannot read " + path);
  while (folder != folder.root_path()) {
    folder = folder.parent_path();
    const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat info{};
    // What may not be read was not made by whoever sends releases here.
    if (!opened || ::fstat(opened.get(), &info) != 0 || info.st_dev != own.st_dev) break;
    if (sync_failed(opened.get())) return system_error("cannot sync " + folder.string());
  }
  return sync_path(path);
}

// Not the standard library's: that goes on after a failure and then tells of a later one.
// NOLINTNEXTLINE(misc-no-recursion): as deep as the file system's paths are long.
Status remove_tree(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? Status(Done{}) : system_error("cannot read " + path);
  }
  const bool folder = S_ISDIR(info.st_mode);
  if (folder) {
    const Result<std::vector<std::string>> names = names_in(path);
    if (!names) return names.error();
    for (const std::string& name : *names) {
      if (Status status = remove_tree(path + "/" + name); !status) return status;
    }
  }
  if ((folder ? ::rmdir(path.c_str()) : ::unlink(path.c_str())) == 0) return Done{};
  return system_error("cannot remove " + path);
}

Result<bool> exchange(const std::string& one, const std::string& other) {
  constexpr unsigned kExchange = 2;  // RENAME_EXCHANGE, which older headers lack.
  if (::syscall(SYS_renameat2, AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), kExchange) == 0) {
    return true;
  }
  // An old kernel, a file system without it, and a filter of system calls that forbids what it does
  // not know.
  if (errno == ENOSYS || errno == EINVAL || errno == EPERM || errno == EOPNOTSUPP) return false;
  return system_error("cannot exchange " + one + " and " + other);
}

}  // namespace edgesmith::installer
