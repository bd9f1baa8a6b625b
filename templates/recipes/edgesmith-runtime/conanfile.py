"""The library that runs a model, and the benchmark and accuracy program, built from source."""

import os

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class EdgesmithRuntime(ConanFile):
    name = "edgesmith-runtime"
    description = "Library and harness that run a model with ONNX Runtime"
    license = "MIT"
    package_type = "static-library"
    settings = "os", "arch", "compiler", "build_type"
    exports_sources = "source/*"
    package_id_embed_mode = "full_mode"
    package_id_non_embed_mode = "full_mode"
    package_id_unknown_mode = "full_mode"

    def requirements(self):
        for reference in self.conan_data["requirements"][self.version]:
            self.requires(reference)

    def layout(self):
        cmake_layout(self, src_folder="source")

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.user_presets_path = False
        # Reading the same large headers for every source would double the time.
        toolchain.cache_variables["CMAKE_UNITY_BUILD"] = True
        toolchain.cache_variables["CMAKE_UNITY_BUILD_BATCH_SIZE"] = "10"
        toolchain.cache_variables["EDGESMITH_BUILD_TESTS"] = False
        # CMake would else write a path of this machine's length, and shorten it when installing.
        toolchain.cache_variables["CMAKE_BUILD_WITH_INSTALL_RPATH"] = True
        # No path of this machine may end up in a binary. Quoted, for folders with a space.
        toolchain.extra_cxxflags = [
            rf"\"-ffile-prefix-map={dependency.package_folder}={dependency.ref.name}\""
            for dependency in self.dependencies.values()
        ]
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        for dependency in self.dependencies.values():
            licenses = os.path.join(dependency.package_folder, "licenses")
            copy(self, "*", src=licenses, dst=os.path.join(self.package_folder, "licenses"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "edgesmith-runtime")
        self.cpp_info.set_property("cmake_target_name", "edgesmith::runtime")
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "edgesmith-runtime")]
