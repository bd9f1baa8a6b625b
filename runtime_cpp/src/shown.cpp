#include "shown.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

namespace edgesmith {
namespace {

/// Letters to change, add, leave out or exchange with their neighbour.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, substituted});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row.back();
}

}  // namespace

std::string shown(std::string_view text) {
  using nlohmann::json;
  if (text.empty()) return "(empty)";
  const std::string dumped = json(text).dump(-1, ' ', true, json::error_handler_t::replace);
  return dumped.substr(1, dumped.size() - 2);
}

std::string in_quotes(std::string_view text) { return "'" + shown(text) + "'"; }

std::string formatted(const char* format, double value) {
  std::array<char, 64> text{};
  const int length = std::snprintf(text.data(), text.size(), format, value);
  return length < 0 ? "?" : text.data();
}

std::string suggestion(const std::string& given, const std::vector<std::string>& known,
                       const std::string& quote) {
  const auto nearest =
      std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
        return edit_distance(given, a) < edit_distance(given, b);
      });
  if (nearest != known.end()) {
    const std::size_t longer = std::max(given.size(), nearest->size());
    if (edit_distance(given, *nearest) <= std::max<std::size_t>(longer / 3, 1)) {
      return "did you mean " + quote + *nearest + quote + "?";
    }
  }
  std::string listed;
  for (const std::string& word : known) {
    listed += (listed.empty() ? "" : ", ") + quote + word + quote;
  }
  return "known: " + listed;
}

}  // namespace edgesmith
