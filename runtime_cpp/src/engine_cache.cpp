#include "engine_cache.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "strict_json.hpp"

namespace edgesmith {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kRecord = "edgesmith-engines.json";
constexpr const char* kLock = ".lock";
constexpr std::uint64_t kRecordLimitBytes = std::uint64_t{1} << 20;

/// FNV-1a over 64-bit words: tells damage, not malice; whoever may write here has the device.
class Checksum {
 public:
  void add(const char* data, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; i += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, data + i, std::min(sizeof word, bytes - i));
      value_ = (value_ ^ word) * 1099511628211ULL;
    }
  }

  std::string text() const {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string digits;
    for (unsigned shift = 64; shift > 0; shift -= 4) {
      digits += kDigits[(value_ >> (shift - 4)) & 15U];
    }
    return digits;
  }

 private:
  std::uint64_t value_ = 14695981039346656037ULL;
};

Result<std::string> checksum_of(const std::string& path) {
  Result<OpenFile> file = open_file(path);
  if (!file) return file.error();
  Checksum sum;
  std::vector<char> buffer(std::size_t{1} << 20);
  for (;;) {
    const ssize_t got = ::read(file->descriptor.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read " + path);
    if (got == 0) return sum.text();
    sum.add(buffer.data(), static_cast<std::size_t>(got));
  }
}

/// What a provider left: every regular file, by its path below the folder.
json files_in(const std::string& folder) {
  json files = json::object();
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    const std::string name = fs::relative(entry.path(), folder, error).string();
    if (name == kRecord || name == kLock || !entry.is_regular_file(error)) continue;
    const Result<std::string> sum = checksum_of(entry.path().string());
    files[name] = {{"bytes", entry.file_size(error)}, {"checksum", sum ? *sum : ""}};
  }
  return files;
}

/// Everything but the lock goes.
void clear(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename() != kLock) fs::remove_all(entry.path(), error);
  }
}

bool is_empty(const std::string& folder) {
  std::error_code error;
  return std::all_of(
      fs::directory_iterator(folder, error), fs::directory_iterator(),
      [](const fs::directory_entry& entry) { return entry.path().filename() == kLock; });
}

/// What seal() noted in a folder. \return kFileSystem, with why there is nothing to go by.
Result<json> read_record(const std::string& folder) {
  const Result<std::string> text = read_file(folder + "/" + kRecord, kRecordLimitBytes);
  if (!text) return Error{ErrorCode::kFileSystem, "the last one was not finished"};
  Result<json> record = parse_strict_json(*text);
  if (!record || !record->is_object() || !record->value("made_for", json()).is_object()) {
    return Error{ErrorCode::kFileSystem, std::string(kRecord) + " is damaged"};
  }
  return record;
}

/// Why what lies in a folder cannot be used; empty if it can.
std::string unusable(const std::string& folder,
                     const std::map<std::string, std::string>& made_for) {
  const Result<json> record = read_record(folder);
  if (!record) return record.error().message;
  const json& before = record->at("made_for");
  for (const auto& [key, value] : made_for) {
    const json found = before.value(key, json(nullptr));
    if (found.is_string() && found.get<std::string>() == value) continue;
    return "it was made with another " + key;
  }
  for (const auto& [key, value] : before.items()) {
    if (made_for.count(key) == 0) return "it was made with another " + key;
  }
  const json now = files_in(folder);
  const json then = record->value("files", json::object());
  for (const auto& [name, facts] : then.items()) {
    if (!now.contains(name)) return name + " is missing";
    if (now[name] != facts) return name + " was changed";
  }
  return then.size() == now.size() ? std::string() : "files were added to it";
}

/// Whether the record in a folder was written for this.
bool record_is_for(const std::string& folder, const std::map<std::string, std::string>& made_for) {
  const Result<json> record = read_record(folder);
  return record && record->at("made_for") == json(made_for);
}

Error cannot_keep(const std::string& folder, int code) {
  return {code == ENOSPC ? ErrorCode::kDevice : ErrorCode::kFileSystem,
          "cannot keep engines in " + folder + ": " + std::strerror(code)};
}

Status make_folders(const std::string& root, const std::string& folder) {
  std::error_code error;
  fs::create_directories(fs::path(root).parent_path(), error);
  for (const std::string& one : {root, folder}) {
    if (::mkdir(one.c_str(), 0700) != 0 && errno != EEXIST) return cannot_keep(one, errno);
  }
  if (::access(folder.c_str(), W_OK | X_OK) != 0) return cannot_keep(folder, errno);
  return Done{};
}

Result<Descriptor> locked(const std::string& folder) {
  const std::string path = folder + "/" + kLock;
  Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return cannot_keep(folder, errno);
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return cannot_keep(folder, errno);
  }
  return lock;
}

}  // namespace

Result<EngineCache> EngineCache::open(const std::string& root, const std::string& model,
                                      const std::string& provider,
                                      const std::map<std::string, std::string>& made_for) {
  const Result<std::string> sum = checksum_of(model);
  if (!sum) return Error{ErrorCode::kModelOrData, sum.error().message};
  EngineCache cache;
  cache.folder_ = root + "/" + fs::path(model).stem().string() + "-" + *sum + "-" + provider;
  cache.made_for_ = made_for;
  if (Status status = make_folders(root, cache.folder_); !status) return status.error();
  Result<Descriptor> lock = locked(cache.folder_);
  if (!lock) return lock.error();
  cache.lock_ = std::move(*lock);
  cache.use_ = {"made", cache.folder_, ""};
  if (is_empty(cache.folder_)) return cache;
  const std::string reason = unusable(cache.folder_, made_for);
  cache.use_ = {reason.empty() ? "used" : "made anew", cache.folder_, reason};
  if (!reason.empty()) clear(cache.folder_);
  return cache;
}

Status EngineCache::seal() {
  if (!lock_) {
    Result<Descriptor> lock = locked(folder_);
    if (!lock) return lock.error();
    lock_ = std::move(*lock);
  }
  // Another process may have made its own engines there since.
  const bool is_ours = !sealed_ || record_is_for(folder_, made_for_);
  if (!is_ours || unusable(folder_, made_for_).empty()) {
    sealed_ = true;
    lock_.reset();
    return Done{};
  }
  const json record = {{"schema", 1}, {"made_for", made_for_}, {"files", files_in(folder_)}};
  const std::string text = record.dump(1, ' ', true, json::error_handler_t::replace) + "\n";
  Status status = write_file_atomically(folder_ + "/" + kRecord, {text});
  sealed_ = true;
  lock_.reset();
  return status;
}

}  // namespace edgesmith
