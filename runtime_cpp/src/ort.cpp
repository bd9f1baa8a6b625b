#include "ort.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <utility>

namespace edgesmith {
namespace {

// With less a program can't work; platforms ship runtimes from 1.24 on, and 17 leaves room for
// vendors' older builds.
constexpr std::uint32_t kLeastApi = 17;
constexpr std::uint32_t kMostApi = kPlacementApi;

/// ONNX Runtime's own builds report use of a model to its maker, and keep an identifier of the
/// device below the home folder, unless this stands in the environment before the first session. A
/// device is its owner's: whoever wants that sets the variable to 0.
void keep_silent() { ::setenv("ORT_DISABLE_TELEMETRY", "1", 0); }

/// Release 1.N has API version N. Asking for one that is not there would print to stderr.
std::uint32_t offered_api() {
  const std::string_view version = OrtGetApiBase()->GetVersionString();
  const std::size_t dot = version.find('.');
  std::uint32_t minor = 0;
  if (dot != std::string_view::npos) {
    std::from_chars(version.data() + dot + 1, version.data() + version.size(), minor);
  }
  return minor;
}

/// What was logged; ONNX Runtime calls from any of its threads.
struct Log {
  static constexpr std::size_t kMostBytes = 65536;
  std::mutex mutex;
  std::string text;
};

Log& log() {
  // Never destroyed: the runtime's own end may still log. NOLINTNEXTLINE(*-owning-memory)
  static auto* const kLog = new Log;
  return *kLog;
}

void ORT_API_CALL keep(void* /*unused*/, OrtLoggingLevel level, const char* /*category*/,
                       const char* /*id*/, const char* /*place*/, const char* message) {
  if (level < ORT_LOGGING_LEVEL_ERROR) return;
  Log& kept = log();
  const std::scoped_lock lock(kept.mutex);
  if (kept.text.size() < Log::kMostBytes) kept.text += std::string(message) + "\n";
}

}  // namespace

Ort::Env make_env() { return {ORT_LOGGING_LEVEL_ERROR, "edgesmith", keep, nullptr}; }

std::string take_logged() {
  Log& kept = log();
  const std::scoped_lock lock(kept.mutex);
  return std::exchange(kept.text, {});
}

std::uint32_t api_version() { return std::min(kMostApi, offered_api()); }

Status initialize_api() {
  keep_silent();
  const std::uint32_t version = api_version();
  const OrtApi* api = version < kLeastApi ? nullptr : OrtGetApiBase()->GetApi(version);
  if (api == nullptr) {
    return Error{ErrorCode::kHarness,
                 std::string("ONNX Runtime ") + OrtGetApiBase()->GetVersionString() +
                     " does not offer API version " + std::to_string(kLeastApi) +
                     "; use release 1.17 or later"};
  }
  Ort::InitApi(api);
  return Done{};
}

}  // namespace edgesmith
