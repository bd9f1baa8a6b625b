# CMake package of the installer: the imported program edgesmith::installer.
if(NOT TARGET edgesmith::installer)
  add_executable(edgesmith::installer IMPORTED)
  get_filename_component(_edgesmith_installer_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
  set_target_properties(edgesmith::installer PROPERTIES IMPORTED_LOCATION
                                                        "${_edgesmith_installer_prefix}/bin/installer")
  unset(_edgesmith_installer_prefix)
endif()
