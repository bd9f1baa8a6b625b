#include "strict_json.hpp"

#include <set>
#include <vector>

#include "shown.hpp"

namespace edgesmith {

using nlohmann::json;

namespace {

constexpr int kMaximumDepth = 64;

/// What the parser meets, in order; remembers the first thing that is wrong.
class Watch {
 public:
  /// \return whether the value is to be kept.
  bool operator()(int depth, json::parse_event_t event, const json& parsed) {
    if (depth > kMaximumDepth) note("is nested too deeply");
    if (!problem_.empty()) return false;
    if (event == json::parse_event_t::object_start) {
      keys_.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      keys_.pop_back();
    } else if (event == json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second) note("has the key " + in_quotes(key) + " twice");
    }
    return true;
  }

  const std::string& problem() const { return problem_; }

 private:
  void note(const std::string& what) {
    if (problem_.empty()) problem_ = what;
  }

  std::vector<std::set<std::string>> keys_;  ///< Of the objects that are open.
  std::string problem_;
};

}  // namespace

Result<json> parse_strict_json(const std::string& text) {
  Watch watch;
  const auto note = [&watch](int depth, json::parse_event_t event, json& parsed) {
    return watch(depth, event, parsed);
  };
  json document = json::parse(text, note, false);
  if (!watch.problem().empty()) return bad_data(watch.problem());
  if (document.is_discarded()) return bad_data("is not JSON");
  return document;
}

}  // namespace edgesmith
