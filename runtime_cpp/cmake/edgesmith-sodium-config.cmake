# libsodium as source, reduced to SHA-256 and the verification of Ed25519 signatures: what is left
# needs no configure step and compiles with any C compiler. The files stand beside this one in
# `libsodium/`, under the names that they have in libsodium's own source tree.
#
#   edgesmith_add_sodium(<target>)   adds the static library <target>; include "sodium/<header>.h"
set(edgesmith-sodium_VERSION 1.0.20)

# Everything that is compiled or included, and the licence. Packagers copy exactly these files.
set(edgesmith_sodium_SOURCES
  src/libsodium/crypto_core/ed25519/ref10/ed25519_ref10.c
  src/libsodium/crypto_hash/sha256/cp/hash_sha256_cp.c
  src/libsodium/crypto_hash/sha512/cp/hash_sha512_cp.c
  src/libsodium/crypto_sign/ed25519/ref10/open.c
  src/libsodium/crypto_sign/ed25519/ref10/sign.c
  src/libsodium/crypto_verify/verify.c
  src/libsodium/sodium/utils.c)
set(edgesmith_sodium_HEADERS
  src/libsodium/crypto_core/ed25519/ref10/fe_25_5/base.h
  src/libsodium/crypto_core/ed25519/ref10/fe_25_5/base2.h
  src/libsodium/crypto_core/ed25519/ref10/fe_25_5/constants.h
  src/libsodium/crypto_core/ed25519/ref10/fe_25_5/fe.h
  src/libsodium/crypto_core/ed25519/ref10/fe_51/base.h
  src/libsodium/crypto_core/ed25519/ref10/fe_51/base2.h
  src/libsodium/crypto_core/ed25519/ref10/fe_51/constants.h
  src/libsodium/crypto_core/ed25519/ref10/fe_51/fe.h
  src/libsodium/crypto_sign/ed25519/ref10/sign_ed25519_ref10.h
  src/libsodium/include/sodium/core.h
  src/libsodium/include/sodium/crypto_hash_sha256.h
  src/libsodium/include/sodium/crypto_hash_sha512.h
  src/libsodium/include/sodium/crypto_sign_ed25519.h
  src/libsodium/include/sodium/crypto_verify_16.h
  src/libsodium/include/sodium/crypto_verify_32.h
  src/libsodium/include/sodium/crypto_verify_64.h
  src/libsodium/include/sodium/export.h
  src/libsodium/include/sodium/private/common.h
  src/libsodium/include/sodium/private/ed25519_ref10.h
  src/libsodium/include/sodium/private/ed25519_ref10_fe_25_5.h
  src/libsodium/include/sodium/private/ed25519_ref10_fe_51.h
  src/libsodium/include/sodium/randombytes.h
  src/libsodium/include/sodium/utils.h)
set(edgesmith_sodium_LICENSE LICENSE)

set(_edgesmith_sodium_root "${CMAKE_CURRENT_LIST_DIR}/libsodium")
foreach(_file IN LISTS edgesmith_sodium_SOURCES edgesmith_sodium_HEADERS)
  if(NOT EXISTS "${_edgesmith_sodium_root}/${_file}")
    set(edgesmith-sodium_FOUND FALSE)
    set(edgesmith-sodium_NOT_FOUND_MESSAGE "libsodium's ${_file} is missing below ${_edgesmith_sodium_root}")
    return()
  endif()
endforeach()
set(EDGESMITH_SODIUM_ROOT "${_edgesmith_sodium_root}")

function(edgesmith_add_sodium target)
  enable_language(C)
  list(TRANSFORM edgesmith_sodium_SOURCES PREPEND "${EDGESMITH_SODIUM_ROOT}/" OUTPUT_VARIABLE sources)
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} SYSTEM PUBLIC "${EDGESMITH_SODIUM_ROOT}/src/libsodium/include")
  target_include_directories(${target} PRIVATE
    "${EDGESMITH_SODIUM_ROOT}/src/libsodium/include/sodium")
  target_compile_definitions(${target} PUBLIC SODIUM_STATIC PRIVATE CONFIGURED=1)
  # utils.c also holds guarded memory, which would pull in random numbers: it is dropped at the link.
  target_compile_options(${target} PRIVATE -ffunction-sections -fdata-sections -w
    "-ffile-prefix-map=${EDGESMITH_SODIUM_ROOT}=libsodium")
  target_link_options(${target} PUBLIC LINKER:--gc-sections)
  set_target_properties(${target} PROPERTIES C_STANDARD 99 POSITION_INDEPENDENT_CODE ON
                                             UNITY_BUILD OFF)
endfunction()
