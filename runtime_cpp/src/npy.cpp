#include "edgesmith/npy.hpp"

#include <array>
#include <limits>
#include <optional>
#include <string>

#include "shown.hpp"

namespace edgesmith {
namespace {

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are copied from little-endian files as they lie"
#endif

constexpr std::string_view kNpyMagic{"\x93NUMPY", 6};
constexpr std::size_t kMaximumRank = 32;
// NumPy itself refuses longer headers of files that it does not trust.
constexpr std::size_t kHeaderLimitBytes = 10000;

/// What the header's dictionary says.
struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

/// Reads the header: a Python dictionary of a string, a bool and a tuple of integers.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  Result<Header> parse() {
    if (!take('{')) return malformed();
    while (!take('}')) {
      const std::optional<std::string> key = string();
      if (!key || !take(':')) return malformed();
      if (Status status = value(*key); !status) return status.error();
      if (!take(',') && peek() != '}') return malformed();
    }
    if (peek() != '\0' || !descr_ || !fortran_order_ || !shape_) return malformed();
    return Header{*descr_, *fortran_order_, *shape_};
  }

 private:
  static Error malformed() { return bad_data("its header is malformed"); }

  Status value(const std::string& key) {
    if (key == "descr" && !descr_) {
      if (peek() == '[') return bad_data("it holds records; save one array of numbers");
      descr_ = string();
      if (descr_) return Done{};
    } else if (key == "fortran_order" && !fortran_order_) {
      fortran_order_ = boolean();
      if (fortran_order_) return Done{};
    } else if (key == "shape" && !shape_) {
      shape_ = tuple();
      if (shape_) return Done{};
    }
    return malformed();
  }

  char peek() {
    const std::size_t start = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(start == std::string_view::npos ? rest_.size() : start);
    return rest_.empty() ? '\0' : rest_.front();
  }

  bool take(char wanted) {
    if (peek() != wanted || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }

  /// No escapes: none of the values that are understood has one.
  std::optional<std::string> string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') return std::nullopt;
    const std::size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) return std::nullopt;
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }

  std::optional<bool> boolean() {
    peek();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true},
                                      std::pair<std::string_view, bool>{"False", false}}) {
      if (rest_.substr(0, word.size()) != word) continue;
      rest_.remove_prefix(word.size());
      return value;
    }
    return std::nullopt;
  }

  std::optional<std::int64_t> integer() {
    if (peek() < '0' || peek() > '9') return std::nullopt;
    std::int64_t number = 0;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      const std::int64_t digit = rest_.front() - '0';
      if (number > (std::numeric_limits<std::int64_t>::max() - digit) / 10) return std::nullopt;
      number = number * 10 + digit;
      rest_.remove_prefix(1);
    }
    return number;
  }

  std::optional<std::vector<std::int64_t>> tuple() {
    std::vector<std::int64_t> items;
    if (!take('(')) return std::nullopt;
    while (!take(')')) {
      const std::optional<std::int64_t> item = integer();
      if (!item || items.size() == kMaximumRank) return std::nullopt;
      items.push_back(*item);
      if (!take(',') && peek() != ')') return std::nullopt;
    }
    return items;
  }

  std::string_view rest_;
  std::optional<std::string> descr_;
  std::optional<bool> fortran_order_;
  std::optional<std::vector<std::int64_t>> shape_;
};

struct TypeCode {
  std::string_view code;
  DataType type;
};

constexpr std::array<TypeCode, 12> kTypeCodes{{{"f4", DataType::kFloat32},
                                               {"f8", DataType::kFloat64},
                                               {"f2", DataType::kFloat16},
                                               {"i1", DataType::kInt8},
                                               {"i2", DataType::kInt16},
                                               {"i4", DataType::kInt32},
                                               {"i8", DataType::kInt64},
                                               {"u1", DataType::kUInt8},
                                               {"u2", DataType::kUInt16},
                                               {"u4", DataType::kUInt32},
                                               {"u8", DataType::kUInt64},
                                               {"b1", DataType::kBool}}};

Result<DataType> element_type(const std::string& descr) {
  const std::string code = descr.empty() ? "" : descr.substr(1);
  if (code.substr(0, 1) == "O") return bad_data("it holds Python objects, which are not read");
  for (const TypeCode& known : kTypeCodes) {
    if (known.code != code) continue;
    if (descr[0] == '>' && element_bytes(known.type) > 1) {
      return bad_data("its byte order is big endian; save it with .astype('<" + code + "')");
    }
    return known.type;
  }
  return bad_data("its element type " + in_quotes(descr) + " is none that models take");
}

/// The header's text, and where the data starts.
struct Frame {
  std::string_view header;
  std::string_view data;
};

Result<Frame> split(std::string_view bytes) {
  if (bytes.substr(0, kNpyMagic.size()) != kNpyMagic) {
    return bad_data(bytes.empty() ? "it is empty" : "it is no .npy file");
  }
  bytes.remove_prefix(kNpyMagic.size());
  if (bytes.size() < 2) return bad_data("it is cut off");
  const auto major = static_cast<unsigned char>(bytes[0]);
  if (major < 1 || major > 3) {
    return bad_data("it is of version " + std::to_string(major) + "; versions 1 to 3 are read");
  }
  const std::size_t width = major == 1 ? 2 : 4;
  bytes.remove_prefix(2);
  if (bytes.size() < width) return bad_data("it is cut off");
  std::uint64_t length = 0;
  for (std::size_t i = width; i-- > 0;)
    length = length << 8U | static_cast<unsigned char>(bytes[i]);
  bytes.remove_prefix(width);
  if (length > kHeaderLimitBytes) return bad_data("its header is too large");
  if (length > bytes.size()) return bad_data("it is cut off");
  return Frame{bytes.substr(0, length), bytes.substr(length)};
}

}  // namespace

Result<NpyArray> parse_npy(std::string_view bytes) {
  const Result<Frame> frame = split(bytes);
  if (!frame) return frame.error();
  const Result<Header> header = HeaderParser(frame->header).parse();
  if (!header) return header.error();
  const Result<DataType> type = element_type(header->descr);
  if (!type) return type.error();
  if (header->fortran_order && header->shape.size() > 1) {
    return bad_data("it is in Fortran order; save numpy.ascontiguousarray(...) of it");
  }
  NpyArray array{*type, header->shape, frame->data};
  const std::optional<std::int64_t> count = element_count(array.dims);
  const std::size_t width = element_bytes(array.type);
  if (!count || array.data.size() % width != 0 ||
      static_cast<std::uint64_t>(*count) != array.data.size() / width) {
    return bad_data("its data are " + std::to_string(array.data.size()) + " bytes, which is not " +
                    dims_text(array.dims) + " of " + std::string(data_type_name(array.type)));
  }
  return array;
}

}  // namespace edgesmith
