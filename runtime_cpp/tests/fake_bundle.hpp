/// \file
/// Small bundles for tests.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "digest.hpp"
#include "programs.hpp"

namespace edgesmith::test {

struct BundleFile {
  std::string path;
  std::string content;
  std::string role;
  std::string mode = "0644";
};

struct FakeBundle {
  std::string id;
  std::string manifest;
  std::vector<BundleFile> files;
};

inline bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// A bundle whose default variant is "int8" at model/int8.onnx. A file PATH.data belongs to the
/// variant at PATH.
/// \param multiply_adds What the manifest says of every variant.
inline FakeBundle make_bundle(int sequence, std::vector<BundleFile> files,
                              const std::string& schema_version = "1.0",
                              const std::string& model_version = "1",
                              std::uint64_t multiply_adds = 0) {
  using nlohmann::json;
  json list = json::array();
  json variants = json::array();
  for (const BundleFile& file : files) {
    list.push_back({{"path", file.path},
                    {"bytes", file.content.size()},
                    {"sha256", sha256_hex(file.content)},
                    {"mode", file.mode},
                    {"role", file.role}});
    const std::string prefix = "model/";
    if (file.path.compare(0, prefix.size(), prefix) != 0) continue;
    if (ends_with(file.path, ".data")) continue;
    json data = json::array();
    for (const BundleFile& other : files) {
      if (other.path == file.path + ".data") data.push_back(other.path);
    }
    const std::string name = file.path.substr(prefix.size(), file.path.find('.') - prefix.size());
    variants.push_back({{"name", name},
                        {"path", file.path},
                        {"data", data},
                        {"threads", 1},
                        {"operations", {{"multiply_adds_per_sample", multiply_adds}}}});
  }
  const json document = {{"schema_version", schema_version},
                         {"model", {{"name", "tiny"}, {"version", model_version}}},
                         {"sequence", sequence},
                         {"target", "host"},
                         {"platform", "linux-x86_64"},
                         {"variants", variants},
                         {"default_variant", "int8"},
                         {"metrics", {"top1"}},
                         {"files", list}};
  FakeBundle bundle{"", document.dump(), std::move(files)};
  bundle.id = sha256_hex(bundle.manifest);
  return bundle;
}

}  // namespace edgesmith::test
