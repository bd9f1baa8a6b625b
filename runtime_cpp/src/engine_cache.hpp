/// \file
/// Where a provider keeps the engines that it compiles of a model, so that later processes start
/// fast: openvino a blob, tensorrt an engine and its timing cache.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "edgesmith/providers.hpp"
#include "edgesmith/result.hpp"
#include "file.hpp"

namespace edgesmith {

/// One model's folder for one provider. What lies there is used only if it was finished, for the
/// same device and software, and has not been changed since; otherwise it is removed first.
class EngineCache {
 public:
  /// Locks the folder until seal() or the object's end: another process waits.
  /// \param root Absolute. It is made where it is not there, for its owner alone.
  /// \param model The model's file, whose contents name the folder.
  /// \param made_for All else that an engine depends on, such as the driver's version.
  /// \return kFileSystem if the folder cannot be made or written, is a link, belongs to another
  ///         user, may be written by one, or holds what are no engines; kModelOrData for the model.
  static Result<EngineCache> open(const std::string& root, const std::string& model,
                                  const std::string& provider,
                                  const std::map<std::string, std::string>& made_for);

  const std::string& folder() const { return folder_; }
  const EngineCacheUse& use() const { return use_; }

  /// Notes what the provider left in the folder: after the session was made, and again at its end,
  /// since some engines are made in the first inference. \return kFileSystem if that cannot be
  /// written.
  Status seal();

 private:
  EngineCache() = default;

  std::string folder_;
  std::map<std::string, std::string> made_for_;
  EngineCacheUse use_;
  bool sealed_ = false;
  Descriptor opened_;  ///< The folder.
  Descriptor lock_;
};

/// The folder that settings name for a provider: its own default, none ("") or one of the user's.
std::string engine_cache_root(const std::string& setting, const std::string& provider);

/// The options by which a provider uses a folder; none for one that keeps no engines.
std::map<std::string, std::string> engine_cache_options(const std::string& provider,
                                                        const std::string& folder);

/// What engines of a provider depend on, here and now, beside the model and its options.
std::map<std::string, std::string> engine_facts(const std::string& provider,
                                                const std::string& runtime_version);

}  // namespace edgesmith
