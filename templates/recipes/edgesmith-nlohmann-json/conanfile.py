"""The header-only JSON library, every file checked by hash."""

import os

from conan import ConanFile
from conan.tools.files import check_sha256, copy


class EdgesmithNlohmannJson(ConanFile):
    name = "edgesmith-nlohmann-json"
    description = "JSON for C++"
    license = "MIT"
    package_type = "header-library"
    exports_sources = "files/*"

    def package(self):
        folder = os.path.join(self.source_folder, "files")
        for path, sha256 in self.conan_data["files"][self.version].items():
            check_sha256(self, os.path.join(folder, path), sha256)
            copy(self, path, src=folder, dst=self.package_folder)

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "nlohmann_json")
        self.cpp_info.set_property("cmake_target_name", "nlohmann_json::nlohmann_json")
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "nlohmann_json")]
