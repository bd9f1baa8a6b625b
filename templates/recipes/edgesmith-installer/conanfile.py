"""The static program that installs releases on a device, built from source."""

import os

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class EdgesmithInstaller(ConanFile):
    name = "edgesmith-installer"
    description = "Installs releases on a device"
    license = "MIT"
    package_type = "application"
    settings = "os", "arch", "compiler", "build_type"
    package_id_embed_mode = "full_mode"
    package_id_non_embed_mode = "full_mode"
    package_id_unknown_mode = "full_mode"

    def export_sources(self):
        # One source tree holds both programs, and one copy of it is enough.
        tree = os.path.join(self.recipe_folder, "..", "..", "edgesmith-runtime", "all", "source")
        copy(self, "*", src=tree, dst=os.path.join(self.export_sources_folder, "source"))
        copy(self, "*.cmake", src=self.recipe_folder, dst=self.export_sources_folder)

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
        # No path of this machine may end up in a binary. Quoted, for folders with a space.
        toolchain.extra_cxxflags = [
            rf"\"-ffile-prefix-map={dependency.package_folder}={dependency.ref.name}\""
            for dependency in self.dependencies.values()
        ]
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure(build_script_folder="installer")
        cmake.build()

    def package(self):
        CMake(self).install()
        for dependency in self.dependencies.values():
            licenses = os.path.join(dependency.package_folder, "licenses")
            copy(self, "*", src=licenses, dst=os.path.join(self.package_folder, "licenses"))
        copy(
            self,
            "*.cmake",
            src=self.export_sources_folder,
            dst=os.path.join(self.package_folder, "lib", "cmake", "edgesmith-installer"),
            excludes="source/*",
        )

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "edgesmith-installer")
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "edgesmith-installer")]
