/// \file
/// Dimensions that a model declares against those that files have.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "edgesmith/result.hpp"
#include "edgesmith/tensor.hpp"

namespace edgesmith {

/// The declared dimensions as people read them: [batch, 3, 8, 8].
std::string declared_text(const TensorInfo& info);

/// Whether the dimensions are those declared, whatever the dynamic ones are.
bool fits(const TensorInfo& info, const std::vector<std::int64_t>& dims);

/// Sizes of the dynamic dimensions that are known so far, and the input that told each.
class KnownSizes {
 public:
  /// Learns from dimensions that fit.
  /// \return kModelOrData if a size is another than that of an earlier input.
  Status settle(const TensorInfo& info, const std::vector<std::int64_t>& dims);

  /// The declared dimensions with all sizes that are known, -1 where none is.
  std::vector<std::int64_t> apply(const TensorInfo& info) const;

 private:
  struct Known {
    std::int64_t size;
    std::string told_by;
  };
  std::map<std::string, Known> sizes_;
};

}  // namespace edgesmith
