# How all C++ code of edgesmith is compiled: warnings, sanitizers, reproducible bytes.
include_guard(GLOBAL)

option(EDGESMITH_WERROR "Turn warnings into errors" OFF)
option(EDGESMITH_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(EDGESMITH_FUZZ "Build the fuzz targets with clang's libFuzzer; implies EDGESMITH_SANITIZE" OFF)
if(EDGESMITH_FUZZ)
  set(EDGESMITH_SANITIZE ON)
endif()
# Relative to bin/: bundles keep the runtime library in lib/ whatever the host's own layout is.
set(EDGESMITH_RUNTIME_LIBDIR "lib" CACHE STRING "Folder beside bin/ that holds libonnxruntime")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

get_filename_component(edgesmith_source_root "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
add_library(edgesmith-options INTERFACE)
target_compile_features(edgesmith-options INTERFACE cxx_std_17)
target_compile_options(edgesmith-options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion
  $<$<BOOL:${EDGESMITH_WERROR}>:-Werror>
  -ffunction-sections -fdata-sections
  "-ffile-prefix-map=${edgesmith_source_root}=edgesmith"
  "-ffile-prefix-map=${CMAKE_BINARY_DIR}=build")
target_link_options(edgesmith-options INTERFACE LINKER:--gc-sections)
if(EDGESMITH_SANITIZE)
  target_compile_options(edgesmith-options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g
    -D_GLIBCXX_ASSERTIONS
    # GCC sees uninitialized values in its own library once sanitizers have rewritten it.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(edgesmith-options INTERFACE -fsanitize=address,undefined)
endif()

if(EDGESMITH_FUZZ)
  target_compile_options(edgesmith-options INTERFACE -fsanitize=fuzzer-no-link)
endif()

function(edgesmith_strip_release target)
  target_link_options(${target} PRIVATE $<$<CONFIG:Release,MinSizeRel>:-s>)
endfunction()
