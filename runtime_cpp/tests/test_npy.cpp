#include "check.hpp"
#include "edgesmith/npy.hpp"

namespace {

using namespace edgesmith;
using test::Checks;

std::string file_of(const std::string& header, const std::string& data, int major = 1) {
  std::string text = "\x93NUMPY";
  text += {static_cast<char>(major), '\0'};
  for (unsigned shift = 0; shift < (major == 1 ? 16U : 32U); shift += 8) {
    text.push_back(static_cast<char>((header.size() >> shift) & 0xffU));
  }
  return text + header + data;
}

const std::string kHeader = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }   \n";

std::string error_of(const std::string& header, std::size_t data_bytes = 8) {
  // A copy of exactly its size, so that sanitizers see every read beyond it.
  const std::string file = file_of(header, std::string(data_bytes, '\0'));
  const std::vector<char> exact(file.begin(), file.end());
  const auto array = parse_npy({exact.data(), exact.size()});
  return array ? "" : array.error().message;
}

void all_versions(Checks& checks) {
  for (const int major : {1, 2, 3}) {
    const std::string file = file_of(kHeader, "abcdefgh", major);
    const auto array = parse_npy(file);
    CHECK(array && array->type == DataType::kFloat32 && array->data == "abcdefgh");
    CHECK(array && array->dims == std::vector<std::int64_t>({2, 1}));
  }
  CHECK(!parse_npy(file_of(kHeader, "abcdefgh", 4)));
  CHECK(!parse_npy(file_of(kHeader, "abcdefgh", 0)));
}

void ways_to_write_a_header(Checks& checks) {
  CHECK_EQUAL(error_of(R"({"shape":(8,),"descr":"|u1","fortran_order":False})"), "");
  CHECK_EQUAL(error_of("{'descr':'|b1','fortran_order':True,'shape':(8,)}"), "");
  CHECK_EQUAL(error_of("{'descr':'<i8','fortran_order':False,'shape':()}"), "");
  CHECK_EQUAL(error_of("{'descr':'<i8','fortran_order':False,'shape':(0, 7)}", 0), "");
  CHECK_EQUAL(error_of("{'descr':'<f2','fortran_order':False,'shape':(4,),}\n"), "");
  CHECK_EQUAL(error_of("{'descr':'>i1','fortran_order':False,'shape':(8,)}"), "");
}

void cut_anywhere(Checks& checks) {
  const std::string whole = file_of(kHeader, "abcdefgh");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::vector<char> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(!parse_npy({cut.data(), cut.size()}));
  }
  CHECK(parse_npy(whole));
  CHECK(!parse_npy(whole + "x"));
}

void every_byte_changed(Checks& checks) {
  const std::string whole = file_of(kHeader, "abcdefgh");
  for (std::size_t at = 0; at < whole.size() - 8; ++at) {
    for (const char other : {'\0', '\'', '(', '9', '\xff'}) {
      std::vector<char> changed(whole.begin(), whole.end());
      changed[at] = other;
      const auto array = parse_npy({changed.data(), changed.size()});
      CHECK(!array || array->data.size() == 8);
    }
  }
}

void what_models_do_not_take(Checks& checks) {
  const auto says = [&](const std::string& header, const std::string& words) {
    checks.expect(error_of(header).find(words) != std::string::npos, header + ": " + words,
                  __FILE__, __LINE__);
  };
  says("{'descr':'>f4','fortran_order':False,'shape':(2,)}", "big endian");
  says("{'descr':'<f4','fortran_order':True,'shape':(2, 1)}", "Fortran");
  says("{'descr':'|O','fortran_order':False,'shape':(1,)}", "Python objects");
  says("{'descr':'<c8','fortran_order':False,'shape':(1,)}", "'<c8' is none");
  says("{'descr':'<U2','fortran_order':False,'shape':(1,)}", "'<U2' is none");
  says("{'descr':'','fortran_order':False,'shape':(1,)}", "is none");
  says("{'descr':[('a','<f4')],'fortran_order':False,'shape':(2,)}", "records");
  says("{'descr':'<f4','fortran_order':False,'shape':(3,)}", "8 bytes");
  says("{'descr':'<f4','fortran_order':False,'shape':(9223372036854775807, 4)}", "8 bytes");
}

void malformed_headers(Checks& checks) {
  std::string ones;
  for (int i = 0; i < 32; ++i) ones += "1,";
  const std::vector<std::string> headers{
      "",
      "{",
      "{}",
      "[]",
      "{'descr':'<f4','fortran_order':False}",
      "{'descr':'<f4','fortran_order':False,'shape':2}",
      "{'descr':'<f4','fortran_order':False,'shape':(-2,)}",
      "{'descr':'<f4','fortran_order':False,'shape':(2.0,)}",
      "{'descr':'<f4','fortran_order':False,'shape':(9223372036854775808,)}",
      "{'descr':'<f4','fortran_order':0,'shape':(2,)}",
      "{'descr':'<f4','fortran_order':False,'shape':(2,)}}",
      "{'descr':'<f4','fortran_order':False,'shape':(2,),'other':1}",
      "{'descr':'<f4','descr':'<f4','fortran_order':False,'shape':(2,)}",
      "{'descr':'<f4,'fortran_order':False,'shape':(2,)}",
      "{'descr':'<f4','fortran_order':False,'shape':(" + std::string(40, '1') + ")}",
      "{'descr':'<f4','fortran_order':False,'shape':(" + ones + "2)}",
      std::string(9000, '(')};
  for (const std::string& header : headers) {
    CHECK_EQUAL(error_of(header), "its header is malformed");
  }
  CHECK_EQUAL(error_of(std::string(20000, ' ')), "its header is too large");
}

}  // namespace

int main() {
  return test::run_all({{"all_versions", all_versions},
                        {"ways_to_write_a_header", ways_to_write_a_header},
                        {"cut_anywhere", cut_anywhere},
                        {"every_byte_changed", every_byte_changed},
                        {"what_models_do_not_take", what_models_do_not_take},
                        {"malformed_headers", malformed_headers}});
}
