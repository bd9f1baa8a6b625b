#include "leftovers.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <iterator>
#include <map>

namespace edgesmith::installer {
namespace {

bool starts_with(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

using Choice = std::function<bool(const std::string&)>;

Result<std::vector<std::string>> chosen(const std::string& folder, const Choice& wanted) {
  Result<std::vector<std::string>> names = names_in(folder);
  if (!names) return names;
  std::vector<std::string> found;
  std::copy_if(names->begin(), names->end(), std::back_inserter(found), wanted);
  return found;
}

Status remove_names(const std::string& folder, const Choice& unwanted) {
  const Result<std::vector<std::string>> names = chosen(folder, unwanted);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    if (Status status = remove_tree(folder + "/" + name); !status) return status;
  }
  return Done{};
}

Status remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return Done{};
  return system_error("cannot remove " + path);
}

/// Both links name one release and a third waits: a swap that stopped in the middle.
Status finish_swap(const Store& store) {
  const std::optional<std::string> current = store.linked("current");
  const std::optional<std::string> waiting = store.linked(".tmp-previous");
  const bool half = current && waiting && store.linked("previous") == current &&
                    waiting != current && store.has_release(*waiting);
  if (!half) return Done{};
  // What was switched first may not be certain yet.
  if (Status status = sync_path(store.root()); !status) return status;
  return store.place_link("previous");
}

/// What makes place for a release, or was to become one, goes; but a damaged release that was set
/// aside is better than none where `current` names it.
Status tidy_releases(const Store& store) {
  const std::string aside = ".old-";
  const Result<std::vector<std::string>> names =
      chosen(store.releases(), [&](const std::string& name) {
        return starts_with(name, ".tmp-") || starts_with(name, aside);
      });
  if (!names) return names.error();
  for (const std::string& name : *names) {
    const std::string id = name.substr(aside.size());
    if (!starts_with(name, aside) || !is_sha256(id) || store.has_release(id)) continue;
    if (::rename(store.set_aside(id).c_str(), store.release(id).c_str()) != 0) {
      return system_error("cannot restore " + store.release(id));
    }
  }
  if (names->empty()) return Done{};
  // What was exchanged for it may not be certain yet.
  if (Status status = sync_path(store.releases()); !status) return status;
  for (const std::string& name : *names) {
    if (Status status = remove_tree(store.releases() + "/" + name); !status) return status;
  }
  return Done{};
}

bool is_linked(const Store& store, const std::string& id) {
  return store.linked("current") == id || store.linked("previous") == id;
}

/// Whether a name in incoming/ is that of a file of this release, and the file's content its own.
class Wanted {
 public:
  Wanted(const Store& store, const Manifest& manifest)
      : store_(store), manifest_(manifest.id + ".manifest.json") {
    for (const ManifestFile& file : release_files(manifest)) files_[file.sha256] = file;
  }

  bool operator()(const std::string& name) const {
    if (name == manifest_ || ends_with(name, ".part")) return true;
    const auto file = files_.find(name);
    return file != files_.end() && matches(store_.incoming(), name, file->second);
  }

 private:
  const Store& store_;
  std::string manifest_;
  std::map<std::string, ManifestFile> files_;
};

}  // namespace

Status recover(const Store& store) {
  Status status = finish_swap(store);
  if (status) status = tidy_releases(store);
  for (const char* link : {"current", "previous"}) {
    if (status) status = remove_file(store.next_link(link));
  }
  return status ? remove_file(store.next_installer()) : status;
}

Status make_room(const Store& store, const Manifest& manifest) {
  Status status = remove_names(store.releases(), [&](const std::string& name) {
    return is_sha256(name) && name != manifest.id && !is_linked(store, name);
  });
  if (!status) return status;
  const Wanted wanted(store, manifest);
  return remove_names(store.incoming(), [&](const std::string& name) { return !wanted(name); });
}

Status clean(const Store& store) {
  Status status = remove_names(store.releases(),
                               [&](const std::string& name) { return !is_linked(store, name); });
  if (!status) return status;
  return remove_names(store.incoming(), [](const std::string&) { return true; });
}

}  // namespace edgesmith::installer
