#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "edgesmith/app.hpp"
#include "shown.hpp"

namespace edgesmith {
namespace {

using nlohmann::json;

constexpr std::size_t kShownElements = 10;

template <typename T>
json integers(const AppOutput& output) {
  json list = json::array();
  const auto* bytes = static_cast<const unsigned char*>(output.data);
  for (std::size_t at = 0; at < output.bytes; at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes + at, sizeof(T));
    list.push_back(value);
  }
  return list;
}

/// Numbers that are not integers, or that fit a double without loss.
json numbers(const AppOutput& output) {
  json list = json::array();
  for (const double value : to_doubles(output.type, output.data, output.bytes)) {
    if (output.type == DataType::kBool) {
      list.push_back(value != 0);
    } else {
      list.push_back(std::isfinite(value) ? json(value) : json(nullptr));
    }
  }
  return list;
}

json elements(const AppOutput& output) {
  switch (output.type) {
    case DataType::kInt8:
      return integers<std::int8_t>(output);
    case DataType::kInt16:
      return integers<std::int16_t>(output);
    case DataType::kInt32:
      return integers<std::int32_t>(output);
    case DataType::kInt64:
      return integers<std::int64_t>(output);
    case DataType::kUInt8:
      return integers<std::uint8_t>(output);
    case DataType::kUInt16:
      return integers<std::uint16_t>(output);
    case DataType::kUInt32:
      return integers<std::uint32_t>(output);
    case DataType::kUInt64:
      return integers<std::uint64_t>(output);
    case DataType::kFloat32:
    case DataType::kFloat64:
    case DataType::kFloat16:
    case DataType::kBFloat16:
    case DataType::kBool:
      break;
  }
  return numbers(output);
}

std::string line(const AppOutput& output) {
  const std::vector<double> values = to_doubles(output.type, output.data, output.bytes);
  std::ostringstream text;
  text << "  " << shown(output.name) << ' ' << data_type_name(output.type) << ' '
       << dims_text(output.dims) << ':';
  for (std::size_t i = 0; i < std::min(values.size(), kShownElements); ++i) {
    text << ' ' << values[i];
  }
  if (values.size() > kShownElements) text << " ...";
  if (values.size() > 1) {
    const auto top = std::max_element(values.begin(), values.end());
    text << "  (largest: element " << top - values.begin() << ')';
  }
  text << '\n';
  return text.str();
}

}  // namespace

struct AppResults::State {
  std::string title;
  bool is_json = false;
  bool of_samples = false;
  json document;
  std::vector<std::string> lines;  ///< Of each inference.
};

AppResults::AppResults(const AppModel& model, const AppOptions& options)
    : state_(std::make_unique<State>()) {
  state_->title = model.name + ' ' + model.version;
  state_->is_json = options.json;
  state_->of_samples = options.inputs.empty();
  state_->document = {{"model", model.name}, {"version", model.version}};
}

AppResults::AppResults(AppResults&&) noexcept = default;
AppResults& AppResults::operator=(AppResults&&) noexcept = default;
AppResults::~AppResults() = default;

void AppResults::add(const std::vector<AppOutput>& outputs) {
  if (!state_->is_json) {
    std::string& lines = state_->lines.emplace_back();
    for (const AppOutput& output : outputs) lines += line(output);
    return;
  }
  json list = json::array();
  for (const AppOutput& output : outputs) {
    list.push_back({{"name", output.name},
                    {"dtype", data_type_name(output.type)},
                    {"shape", output.dims},
                    {"data", elements(output)}});
  }
  if (state_->of_samples) {
    state_->document["samples"].push_back({{"outputs", std::move(list)}});
  } else {
    state_->document["outputs"] = std::move(list);
  }
}

std::string AppResults::text() const {
  if (state_->is_json) {
    return state_->document.dump(-1, ' ', true, json::error_handler_t::replace) + '\n';
  }
  if (!state_->of_samples) {
    std::string text = state_->title + '\n';
    for (const std::string& lines : state_->lines) text += lines;
    return text;
  }
  std::string text = state_->title + ", " + std::to_string(state_->lines.size()) + " samples\n";
  for (std::size_t i = 0; i < state_->lines.size(); ++i) {
    text += "sample " + std::to_string(i) + '\n' + state_->lines[i];
  }
  return text;
}

}  // namespace edgesmith
