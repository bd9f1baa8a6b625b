"""The source of Wuffs, which reads PNG images, every file checked by hash."""

import os

from conan import ConanFile
from conan.tools.files import check_sha256, copy


class EdgesmithWuffs(ConanFile):
    name = "edgesmith-wuffs"
    description = "PNG images of Wuffs, as source"
    license = "Apache-2.0 OR MIT"
    package_type = "header-library"
    exports_sources = "files/*"

    def package(self):
        folder = os.path.join(self.source_folder, "files")
        for path, sha256 in self.conan_data["files"][self.version].items():
            check_sha256(self, os.path.join(folder, path), sha256)
            copy(self, path, src=folder, dst=self.package_folder)

    def package_info(self):
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "edgesmith-wuffs")]
