/// \file
/// What libraries throw, as the error that it is.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "edgesmith/result.hpp"

namespace edgesmith::harness {

/// Runs `work`, which returns a Status; kHarness if something is thrown in it.
template <typename Work>
Status without_exceptions(Work work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kHarness,
                 "there is not enough memory; end other programs, or use a smaller model, batch or "
                 "number of samples"};
  } catch (const std::exception& failure) {
    return Error{ErrorCode::kHarness, std::string("unexpected failure: ") + failure.what()};
  }
}

}  // namespace edgesmith::harness
