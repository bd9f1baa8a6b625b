#include "known_sizes.hpp"

#include <algorithm>

#include "shown.hpp"

namespace edgesmith {

std::string declared_text(const TensorInfo& info) {
  std::string text = "[";
  for (std::size_t i = 0; i < info.dims.size(); ++i) {
    const std::string name = info.dim_names[i].empty() ? "?" : shown(info.dim_names[i]);
    text += (i == 0 ? "" : ", ") + (info.dims[i] < 0 ? name : std::to_string(info.dims[i]));
  }
  return text + "]";
}

bool fits(const TensorInfo& info, const std::vector<std::int64_t>& dims) {
  return std::equal(
      info.dims.begin(), info.dims.end(), dims.begin(), dims.end(),
      [](std::int64_t declared, std::int64_t dim) { return declared < 0 || declared == dim; });
}

Status KnownSizes::settle(const TensorInfo& info, const std::vector<std::int64_t>& dims) {
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (info.dims[i] >= 0 || info.dim_names[i].empty()) continue;
    const auto [known, is_new] = sizes_.try_emplace(info.dim_names[i], Known{dims[i], info.name});
    if (is_new || known->second.size == dims[i]) continue;
    return Error{ErrorCode::kModelOrData, "dimension " + in_quotes(known->first) + " is " +
                                              std::to_string(dims[i]) + " here and " +
                                              std::to_string(known->second.size) + " in input " +
                                              in_quotes(known->second.told_by)};
  }
  return Done{};
}

std::vector<std::int64_t> KnownSizes::apply(const TensorInfo& info) const {
  std::vector<std::int64_t> dims = info.dims;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const auto known = sizes_.find(info.dim_names[i]);
    if (dims[i] < 0 && known != sizes_.end()) dims[i] = known->second.size;
  }
  return dims;
}

}  // namespace edgesmith
