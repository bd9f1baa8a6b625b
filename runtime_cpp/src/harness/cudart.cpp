#include "cudart.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <utility>

namespace edgesmith::harness {
namespace {

// Numbers of the library's documented binary interface.
constexpr int kCudaSuccess = 0;
constexpr int kCudaHostToDevice = 1;
constexpr int kCudaDeviceToHost = 2;

void* find_library(const std::vector<std::string>& names) {
  for (const int loaded_only : {RTLD_NOLOAD, 0}) {
    for (const std::string& name : names) {
      void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | loaded_only);
      if (handle != nullptr) return handle;
    }
  }
  return nullptr;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

struct Cudart::Library {
  void* handle = nullptr;
  int (*set_device)(int) = nullptr;
  int (*allocate)(void**, std::size_t) = nullptr;
  int (*release)(void*) = nullptr;
  int (*copy)(void*, const void*, std::size_t, int) = nullptr;
  int (*synchronize)() = nullptr;
  int (*take_error)() = nullptr;
  const char* (*words)(int) = nullptr;

  explicit Library(void* opened) : handle(opened) {}
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() { ::dlclose(handle); }

  template <typename Function>
  bool find(Function& function, const char* name) const {
    function = reinterpret_cast<Function>(::dlsym(handle, name));
    return function != nullptr;
  }

  bool find_all() {
    return find(set_device, "cudaSetDevice") && find(allocate, "cudaMalloc") &&
           find(release, "cudaFree") && find(copy, "cudaMemcpy") &&
           find(synchronize, "cudaDeviceSynchronize") && find(take_error, "cudaGetLastError") &&
           find(words, "cudaGetErrorString");
  }

  /// Takes the error away, too, which a kernel of the provider would otherwise take for its own.
  Error failure(ErrorCode code, const std::string& what, int status) const {
    static_cast<void>(take_error());
    const char* reason = words(status);
    return {code, what + ": " + (reason == nullptr ? "no reason given" : reason) + " (CUDA error " +
                      std::to_string(status) + ")"};
  }
};

Cudart::Cudart(std::unique_ptr<Library> library) : library_(std::move(library)) {}
Cudart::Cudart(Cudart&&) noexcept = default;
Cudart& Cudart::operator=(Cudart&&) noexcept = default;
Cudart::~Cudart() = default;

Result<Cudart> Cudart::open(const std::vector<std::string>& libraries, int device) {
  void* handle = find_library(libraries);
  if (handle == nullptr) {
    return Error{ErrorCode::kDevice,
                 "the CUDA runtime's library is not found (" + joined(libraries) + ")"};
  }
  auto library = std::make_unique<Library>(handle);
  if (!library->find_all()) {
    return Error{ErrorCode::kDevice, "the CUDA runtime's library lacks a function for copies"};
  }
  if (const int status = library->set_device(device); status != kCudaSuccess) {
    return library->failure(ErrorCode::kDevice, "CUDA device " + std::to_string(device), status);
  }
  return Cudart(std::move(library));
}

Result<void*> Cudart::allocate(std::size_t bytes) const {
  void* memory = nullptr;
  // Never empty: libraries take a null pointer for a missing one.
  const int status = library_->allocate(&memory, std::max<std::size_t>(bytes, 1));
  if (status == kCudaSuccess && memory != nullptr) return memory;
  return library_->failure(ErrorCode::kDevice,
                           "no " + std::to_string(bytes) + " bytes of the GPU's memory", status);
}

void Cudart::release(void* memory) const { static_cast<void>(library_->release(memory)); }

Status Cudart::copy_to_device(void* to, const void* from, std::size_t bytes) const {
  const int status = library_->copy(to, from, bytes, kCudaHostToDevice);
  if (status == kCudaSuccess) return Done{};
  return library_->failure(ErrorCode::kHarness, "copying to the GPU", status);
}

Status Cudart::copy_to_host(void* to, const void* from, std::size_t bytes) const {
  const int status = library_->copy(to, from, bytes, kCudaDeviceToHost);
  if (status == kCudaSuccess) return Done{};
  return library_->failure(ErrorCode::kHarness, "copying from the GPU", status);
}

Status Cudart::synchronize() const {
  const int status = library_->synchronize();
  if (status == kCudaSuccess) return Done{};
  return library_->failure(ErrorCode::kHarness, "waiting for the GPU", status);
}

}  // namespace edgesmith::harness
