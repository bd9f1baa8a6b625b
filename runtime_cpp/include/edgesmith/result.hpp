/// \file
/// Errors are values: functions that can fail return Result<T>, and no edgesmith API throws.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace edgesmith {

/// Class of a failure; the value is the exit code of the programs.
enum class ErrorCode : int {
  kUsage = 2,         ///< The command line is wrong.
  kModelOrData = 3,   ///< The model, its samples or their shapes are wrong.
  kDevice = 6,        ///< The device is busy or full.
  kIntegrity = 7,     ///< A file differs from what the manifest says, or may not be installed.
  kHarness = 8,       ///< A measurement or a self-test failed.
  kFileSystem = 10,   ///< Something could not be read or written.
  kInterrupted = 130  ///< The user or the system ended the work.
};

/// What failed, in words that end with what can be done about it where that is known.
struct Error {
  ErrorCode code = ErrorCode::kHarness;
  std::string message;
};

/// The exit code that stands for an error.
inline int exit_code(const Error& error) { return static_cast<int>(error.code); }

/// A value or an Error. Access the value only after testing the result.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() { return *std::get_if<0>(&state_); }
  const T& operator*() const { return *std::get_if<0>(&state_); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }
  const Error& error() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

/// Success without a value.
struct Done {};

/// The result of something done for its effect.
using Status = Result<Done>;

}  // namespace edgesmith
