#include "placement.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "file.hpp"
#include "model_io.hpp"

namespace edgesmith::harness {
namespace {

using nlohmann::json;

constexpr std::uint64_t kProfileLimitBytes = std::uint64_t{256} << 20;
constexpr int kProfiledInferences = 10;

/// A folder for temporary files that goes with the object.
class TemporaryFolder {
 public:
  static Result<std::unique_ptr<TemporaryFolder>> create() {
    std::string path = profile_folder_prefix(::getpid()) + "XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return system_error("cannot make a folder " + path);
    return std::unique_ptr<TemporaryFolder>(new TemporaryFolder(path));
  }

  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

struct Operator {
  std::uint64_t count = 0;
  std::uint64_t total_ns = 0;
};

/// Which inferences of a profile count.
struct Counted {
  std::int64_t from = 0;  ///< In the profile's microseconds.
  std::uint64_t inferences = 1;
};

/// All but the first, unless it is the only one.
Counted counted_inferences(const json& events) {
  std::vector<std::int64_t> starts;
  for (const json& event : events) {
    if (event.value("cat", "") == "Session" && event.value("name", "") == "model_run") {
      starts.push_back(event.value("ts", std::int64_t{0}));
    }
  }
  std::sort(starts.begin(), starts.end());
  if (starts.size() < 2) return {};
  return {starts[1], starts.size() - 1};
}

bool tells_of_a_kernel(const json& event) {
  const std::string suffix = "_kernel_time";
  const std::string name = event.value("name", "");
  return event.value("cat", "") == "Node" && event.contains("args") &&
         name.size() >= suffix.size() &&
         name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
}

json operator_list(const std::map<std::pair<std::string, std::string>, Operator>& operators,
                   std::uint64_t inferences) {
  std::uint64_t total_ns = 0;
  for (const auto& [key, entry] : operators) total_ns += entry.total_ns;
  std::vector<json> rows;
  for (const auto& [key, entry] : operators) {
    const double share =
        total_ns == 0 ? 0.0 : static_cast<double>(entry.total_ns) / static_cast<double>(total_ns);
    rows.push_back({{"op_type", key.first},
                    {"provider", key.second},
                    {"inferences", inferences},
                    {"count", entry.count},
                    {"total_ns", entry.total_ns},
                    {"share", share}});
  }
  std::stable_sort(rows.begin(), rows.end(), [](const json& a, const json& b) {
    return a["total_ns"].get<std::uint64_t>() > b["total_ns"].get<std::uint64_t>();
  });
  return rows;
}

using NodesOfProviders = std::map<std::string, std::map<std::string, std::uint64_t>>;

bool is_copy(const std::string& type) { return type.rfind("Memcpy", 0) == 0; }

/// Whether what a node takes or gives, by the profile's key, is a few integers.
bool few_integers(const json& details, const char* key) {
  constexpr std::int64_t kMostNumbers = 64;
  const auto tensors = details.find(key);
  if (tensors == details.end() || !tensors->is_array() || tensors->empty()) return false;
  return std::all_of(tensors->begin(), tensors->end(), [](const json& output) {
    if (!output.is_object() || output.size() != 1) return false;
    const std::string type = output.begin().key();
    if (type != "int64" && type != "int32" && type != "bool") return false;
    std::int64_t numbers = 1;
    for (const json& size : output.begin().value()) numbers *= size.get<std::int64_t>();
    return numbers <= kMostNumbers;
  });
}

/// Shape, Size, and what computes with their few integers.
bool computes_shapes(const json& details, const std::string& type) {
  return few_integers(details, "output_type_shape") &&
         (type == "Shape" || type == "Size" || few_integers(details, "input_type_shape"));
}

std::string misplaced_words(const NodesOfProviders& misplaced) {
  std::string text;
  for (const auto& [provider, types] : misplaced) {
    for (const auto& [type, count] : types) {
      text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + type + " on " + provider;
    }
  }
  return text;
}

/// Nodes by what the runtime assigned, which tells of those inside a compiled part, too.
void put_assigned(const Session& session, Profile& profile) {
  const Result<std::vector<ProviderNodes>> assigned = session.placement();
  if (!assigned || session.provider() == "cpu") return;
  profile.placement = json::object();
  profile.elsewhere = json::object();
  for (const ProviderNodes& one : *assigned) {
    profile.placement[one.provider] = one.count();
    if (one.provider != session.runtime_provider()) profile.elsewhere[one.provider] = one.operators;
  }
}

}  // namespace

std::string profile_folder_prefix(int process_id) {
  const char* parent = std::getenv("TMPDIR");
  return std::string(parent == nullptr || *parent == '\0' ? "/tmp" : parent) +
         "/edgesmith-profile-" + std::to_string(process_id) + "-";
}

Result<Profile> parse_profile(const std::string& text, const std::string& first) {
  const json events = json::parse(text, nullptr, false);
  if (events.is_discarded() || !events.is_array()) {
    return Error{ErrorCode::kHarness, "the runtime's profile is not a list of events"};
  }
  try {
    const Counted counted = counted_inferences(events);
    std::map<std::string, std::set<std::string>> nodes;
    std::map<std::pair<std::string, std::string>, Operator> operators;
    NodesOfProviders elsewhere;
    NodesOfProviders misplaced;
    std::map<std::string, std::uint64_t> copies{{"to_device", 0}, {"to_host", 0}};
    for (const json& event : events) {
      if (!tells_of_a_kernel(event)) continue;
      const std::string name = event.value("name", "");
      const json& details = event["args"];
      const std::string provider = details.value("provider", "");
      // Names may be empty or repeat in subgraphs; index and name together tell nodes apart.
      const bool is_new =
          nodes[provider].insert(details.value("node_index", "") + "/" + name).second;
      const std::string type = details.value("op_name", "");
      if (is_new && is_copy(type)) ++copies[type == "MemcpyFromHost" ? "to_device" : "to_host"];
      if (is_new && provider != first) {
        ++elsewhere[provider][type];
        if (!is_copy(type) && !computes_shapes(details, type)) ++misplaced[provider][type];
      }
      if (event.value("ts", std::int64_t{0}) < counted.from) continue;
      Operator& entry = operators[{type, provider}];
      entry.count += 1;
      entry.total_ns += event.value("dur", std::uint64_t{0}) * 1000;
    }
    Profile profile;
    profile.placement = json::object();
    for (const auto& [provider, names] : nodes) profile.placement[provider] = names.size();
    profile.elsewhere = elsewhere;
    profile.copies = copies;
    profile.misplaced = misplaced_words(misplaced);
    profile.operators = operator_list(operators, counted.inferences);
    return profile;
  } catch (const json::exception& failure) {
    return Error{ErrorCode::kHarness, std::string("the runtime's profile: ") + failure.what()};
  }
}

Status require_all_nodes(const std::string& provider, const Profile& profile) {
  if (profile.misplaced.empty()) return Done{};
  return Error{
      ErrorCode::kHarness,
      "provider '" + provider + "' is required, and does not run all nodes: " + profile.misplaced};
}

Result<Profile> profile_session(const RunSpec& spec, const SessionSettings& settings,
                                const SampleSource& source) {
  auto folder = TemporaryFolder::create();
  if (!folder) return folder.error();
  SessionSettings profiled = settings;
  profiled.profile_prefix = (*folder)->path() + "/profile";
  profiled.record_placement = true;
  Result<Session> session = Session::open(spec.model_path, profiled);
  if (!session) return session.error();
  Result<ModelIo> io = ModelIo::create(*session, source, spec.shapes);
  if (!io) return io.error();
  const int inferences = spec.profile ? 1 + kProfiledInferences : 1;
  for (int i = 0; i < inferences; ++i) {
    if (Status status = io->load(i % io->sample_count()); !status) return status.error();
    if (Status status = session->run(); !status) return status.error();
  }
  Result<std::string> path = session->end_profiling();
  if (!path) return path.error();
  Result<std::string> text = read_file(*path, kProfileLimitBytes);
  if (!text) return text.error();
  Result<Profile> profile = parse_profile(*text, session->runtime_provider());
  if (profile) put_assigned(*session, *profile);
  if (profile && !spec.profile) profile->operators = nullptr;
  return profile;
}

}  // namespace edgesmith::harness
