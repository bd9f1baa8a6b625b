# Wuffs as source, reduced to PNG: one C file that needs no other library. It stands beside this one
# in `wuffs/`, as it is released.
#
#   edgesmith_compile_wuffs(<target>)   compiles it into <target>, whose own sources include it as
#                                       <wuffs-unsupported-snapshot.c>
set(edgesmith-wuffs_VERSION 0.0.0)

# Everything that is compiled or included. Packagers copy exactly these files.
set(edgesmith_wuffs_SOURCES wuffs-unsupported-snapshot.c)

set(EDGESMITH_WUFFS_ROOT "${CMAKE_CURRENT_LIST_DIR}/wuffs")
if(NOT EXISTS "${EDGESMITH_WUFFS_ROOT}/${edgesmith_wuffs_SOURCES}")
  set(edgesmith-wuffs_FOUND FALSE)
  set(edgesmith-wuffs_NOT_FOUND_MESSAGE
      "Wuffs's ${edgesmith_wuffs_SOURCES} is missing below ${EDGESMITH_WUFFS_ROOT}")
  return()
endif()

function(edgesmith_compile_wuffs target)
  enable_language(C)
  set(source "${EDGESMITH_WUFFS_ROOT}/${edgesmith_wuffs_SOURCES}")
  set(modules BASE ADLER32 CRC32 DEFLATE ZLIB PNG)
  list(TRANSFORM modules PREPEND WUFFS_CONFIG__MODULE__)
  set_source_files_properties("${source}" PROPERTIES
    COMPILE_DEFINITIONS "WUFFS_IMPLEMENTATION;WUFFS_CONFIG__MODULES;${modules};WUFFS_CONFIG__DST_PIXEL_FORMAT__ENABLE_ALLOWLIST;WUFFS_CONFIG__DST_PIXEL_FORMAT__ALLOW_RGBA_NONPREMUL"
    COMPILE_OPTIONS "-w;-ffile-prefix-map=${EDGESMITH_WUFFS_ROOT}=wuffs"
    SKIP_UNITY_BUILD_INCLUSION ON)
  target_sources(${target} PRIVATE "${source}")
  target_include_directories(${target} SYSTEM PRIVATE "${EDGESMITH_WUFFS_ROOT}")
endfunction()
