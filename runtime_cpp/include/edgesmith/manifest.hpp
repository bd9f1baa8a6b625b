/// \file
/// A bundle's manifest.json.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "edgesmith/result.hpp"

namespace edgesmith {

/// One form of the model in a bundle.
struct Variant {
  std::string name;
  std::string path;  ///< Relative to the bundle, safe to open below it.
  std::string precision;
  std::string encoding;
  std::string provider = "cpu";
  std::string optimization_level = "all";
  std::map<std::string, std::string> config;  ///< Session configuration entries.
  int threads = 1;
  double self_test_min_sqnr_db = 15.0;
  std::optional<std::uint64_t> multiply_adds_per_sample;  ///< At least so many; if counted.
};

/// One file of a bundle.
struct ManifestFile {
  std::string path;  ///< Relative to the bundle, safe to open below it.
  std::uint64_t bytes = 0;
  std::string sha256;
  unsigned mode = 0644;
  std::string role;  ///< app, runtime, model, golden, bench or licence.
};

struct Manifest {
  std::string id;  ///< sha256 of the manifest's bytes; set by whoever hashed them.
  std::string model_name;
  std::string model_version;
  std::string target;
  std::string platform;
  std::int64_t sequence = 0;
  std::vector<Variant> variants;
  std::string default_variant;
  std::vector<ManifestFile> files;
  std::vector<std::string> metrics;  ///< The first decides.

  const Variant* find_variant(const std::string& name) const;
  const ManifestFile* find_file(const std::string& path) const;
};

/// Reads a manifest of schema major 1; unknown fields are ignored.
/// \return kIntegrity naming the field that is missing, malformed, repeated or unsafe, or the
///         schema version if its major is another.
Result<Manifest> parse_manifest(const std::string& text);

/// Whether a path may be opened below a folder: relative, with no empty, "." or ".." component, no
/// NUL and no control character.
bool is_safe_relative_path(const std::string& path);

/// Whether a text is a lowercase hexadecimal sha256.
bool is_sha256(const std::string& text);

}  // namespace edgesmith
