"""The prebuilt ONNX Runtime library with its C and C++ headers, every file checked by hash."""

import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import check_sha256, copy


class EdgesmithOnnxruntime(ConanFile):
    name = "edgesmith-onnxruntime"
    description = "Prebuilt ONNX Runtime"
    license = "MIT"
    package_type = "shared-library"
    settings = "os", "arch"
    # Which execution providers are in it; one recipe folder holds the files of one flavor.
    options = {"flavor": ["cpu", "openvino", "cuda"]}
    exports_sources = "files/*"
    no_copy_source = True

    def config_options(self):
        self.options.flavor = self.conan_data["flavor"][self.version]

    def validate(self):
        built_for = self.conan_data["platform"][self.version]
        for setting, value in built_for.items():
            if self.settings.get_safe(setting) != value:
                raise ConanInvalidConfiguration(f"this library is for {setting} {value} only")
        flavor = self.conan_data["flavor"][self.version]
        if self.options.flavor != flavor:
            raise ConanInvalidConfiguration(f"these files are of the flavor {flavor}")

    def package(self):
        folder = os.path.join(self.source_folder, "files")
        for path, sha256 in self.conan_data["files"][self.version].items():
            check_sha256(self, os.path.join(folder, path), sha256)
            copy(self, path, src=folder, dst=self.package_folder)

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "onnxruntime")
        self.cpp_info.set_property("cmake_target_name", "onnxruntime::onnxruntime")
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "onnxruntime")]
