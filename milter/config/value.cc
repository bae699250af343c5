// Reads and prints the kinds of values. Every error says what was expected and what was found.
#include "milter/config/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/ascii.h"
#include "text/number.h"

namespace config {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kEndpointExample = R"("192.0.2.1:25" or "[2001:db8::1]:25")";

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::none:
      return "nothing";
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::date:
      return "a date";
    case toml::node_type::time:
      return "a time";
    case toml::node_type::date_time:
      return "a date and time";
  }
  return "something else";
}

[[noreturn]] void refuse_kind(const toml::node& node, std::string_view wanted) {
  throw Refused(fmt::format("expected {}, got {}", wanted, kind_of(node)));
}

template <typename T>
void check_range(T value, T min, T max) {
  // Written in this form so that NaN is out of range.
  if (!(value >= min && value <= max)) {
    throw Refused(fmt::format("{} is out of range: from {} to {}", value, min, max));
  }
}

// Splits "64K" into 64 and "K". Returns nullopt if the text does not begin with digits, or if they
// overflow.
struct Quantity {
  std::int64_t count = 0;
  std::string_view unit;
};
std::optional<Quantity> split_quantity(std::string_view text) {
  Quantity quantity;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), quantity.count);
  if (error != std::errc{} || text.front() == '-') return std::nullopt;
  quantity.unit = text.substr(end - text.data());
  return quantity;
}

struct Unit {
  std::string_view name;
  std::int64_t factor;
};
constexpr Unit kDurationUnits[] = {{"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}};
constexpr Unit kSizeUnits[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}};

template <std::size_t N>
std::optional<std::int64_t> multiply(std::string_view text, const Unit (&units)[N]) {
  const auto quantity = split_quantity(text);
  if (!quantity) return std::nullopt;
  for (const Unit& unit : units) {
    std::int64_t value = 0;
    if (unit.name == quantity->unit &&
        !__builtin_mul_overflow(quantity->count, unit.factor, &value)) {
      return value;
    }
  }
  return std::nullopt;
}

// Uses the largest unit that divides the value: 65536 is "64K", 90 s is "90s".
template <std::size_t N>
std::string in_units(std::int64_t value, const Unit (&units)[N]) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) {
      return fmt::format("{}{}", value / unit.factor, unit.name);
    }
  }
  return "0";
}

bool all_of_set(std::string_view text, std::string_view set) {
  return text.find_first_not_of(set) == std::string_view::npos;
}

constexpr std::string_view kDigits = "0123456789";

net::Endpoint parse_endpoint(const std::string& text) {
  const auto endpoint = net::Endpoint::parse(text);
  if (!endpoint) {
    throw Refused(
        fmt::format("\"{}\" is not an address with a port, such as {}", text, kEndpointExample));
  }
  if (endpoint->port() == 0) {
    throw Refused(fmt::format("\"{}\": the port has to be from 1 to 65535", text));
  }
  return *endpoint;
}

template <typename Add>
void for_each_string(const toml::node& node, std::string_view example, Add add) {
  const auto* array = node.as_array();
  if (array == nullptr) refuse_kind(node, fmt::format("an array such as [{}]", example));
  for (const auto& element : *array) add(read_string(element, example));
}

// `read_item` converts a string to an item and throws Refused if it cannot.
template <typename Read>
auto read_distinct(const toml::node& node, std::string_view example, Read read_item) {
  std::vector<decltype(read_item(std::string()))> items;
  for_each_string(node, example, [&](const std::string& text) {
    auto item = read_item(text);
    if (std::find(items.begin(), items.end(), item) != items.end()) {
      throw Refused(fmt::format("\"{}\" occurs twice", text));
    }
    items.push_back(std::move(item));
  });
  return items;
}

// Paths must be absolute, because the processes do not run in the directory where `check` was
// called.
std::string absolute_path(const std::string& text) {
  if (!text.starts_with('/')) throw Refused(fmt::format("\"{}\" is not an absolute path", text));
  return text;
}

std::string host_suffix(const std::string& text) {
  if (auto reason = check_suffix(text); !reason.empty()) throw Refused(reason);
  return text;
}

std::string host_or_address(const std::string& text) {
  if (net::Endpoint::parse_address(text, 0)) return text;
  auto reason = text.empty() ? std::string("the name is empty") : check_host(text);
  if (!reason.empty()) throw Refused(reason);
  return text;
}

template <typename Items>
std::string print_list(const Items& items) {
  std::string text = "[";
  for (const auto& item : items) text += (text.size() > 1 ? ", " : "") + quoted(item.print());
  return text + "]";
}

}  // namespace

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

std::string read_string(const toml::node& node, std::string_view example) {
  const auto* text = node.as_string();
  if (text == nullptr) refuse_kind(node, fmt::format("a string such as {}", example));
  return text->get();
}

std::string print_strings(const std::vector<std::string>& items) {
  std::string list;
  for (const std::string& item : items) list += (list.empty() ? "" : ", ") + quoted(item);
  return "[" + list + "]";
}

std::vector<std::string> read_strings(const toml::node& node, std::string_view example) {
  return read_distinct(node, example, [](const std::string& text) { return text; });
}

bool Flag::read(const toml::node& node) const {
  const auto* value = node.as_boolean();
  if (value == nullptr) {
    throw Refused(fmt::format("expected true or false without quotes, got {}", kind_of(node)));
  }
  return value->get();
}

std::int64_t Number::read(const toml::node& node) const {
  const auto* value = node.as_integer();
  if (value == nullptr) refuse_kind(node, "an integer");
  check_range(value->get(), min, max);
  return value->get();
}

double Real::read(const toml::node& node) const {
  if (!node.is_number()) refuse_kind(node, "a number");
  const double value = *node.value<double>();
  check_range(value, min, max);
  return value;
}

std::string Real::print(double value) const {
  // read() accepts 3 and 3.0 alike. The fraction shows the reader that fractions are allowed.
  const auto text = fmt::format("{}", value);
  return all_of_set(text, "-0123456789") ? text + ".0" : text;
}

double Threshold::read(const toml::node& node) const {
  if (const auto* text = node.as_string()) {
    if (text->get() == "off") return INFINITY;
    throw Refused(fmt::format("expected a number or \"off\", got \"{}\"", text->get()));
  }
  if (!node.is_number()) refuse_kind(node, "a number or \"off\"");
  const double value = *node.value<double>();
  if (value == INFINITY) return value;
  check_range(value, min, max);
  return value;
}

std::string Threshold::print(double value) const {
  return value == INFINITY ? quoted("off") : Real{min, max}.print(value);
}

std::int64_t Size::read(const toml::node& node) const {
  constexpr std::string_view kWanted = R"(bytes as an integer or a string such as "64K" or "1M")";
  std::optional<std::int64_t> value;
  if (const auto* number = node.as_integer()) {
    value = number->get();
  } else if (const auto* text = node.as_string()) {
    value = multiply(text->get(), kSizeUnits);
    if (!value) throw Refused(fmt::format("expected {}, got \"{}\"", kWanted, text->get()));
  } else {
    refuse_kind(node, kWanted);
  }
  if (*value < min || *value > max) {
    throw Refused(fmt::format("{} is out of range: from {} to {} bytes", *value,
                              in_units(min, kSizeUnits), in_units(max, kSizeUnits)));
  }
  if (power_of_two && (*value & (*value - 1)) != 0) {
    throw Refused(fmt::format("{} is not a power of two", *value));
  }
  return *value;
}

std::string Size::print(std::int64_t value) const {
  const auto text = in_units(value, kSizeUnits);
  return all_of_set(text, kDigits) ? text : quoted(text);
}

std::chrono::milliseconds read_duration(const toml::node& node, milliseconds min,
                                        milliseconds max) {
  constexpr std::string_view kExample = R"("200ms", "10s", "5m" or "1h")";
  if (const auto* number = node.as_integer()) {
    throw Refused(
        fmt::format("a duration needs its unit: {0} could be seconds or milliseconds; "
                    "write \"{0}s\" or \"{0}ms\"",
                    number->get()));
  }
  const auto text = read_string(node, kExample);
  const auto value = multiply(text, kDurationUnits);
  if (!value) throw Refused(fmt::format("\"{}\" is not a duration such as {}", text, kExample));
  if (milliseconds(*value) < min || milliseconds(*value) > max) {
    throw Refused(fmt::format("\"{}\" is out of range: from {} to {}", text, print_duration(min),
                              print_duration(max)));
  }
  return milliseconds(*value);
}

std::string print_duration(milliseconds value) {
  return value.count() == 0 ? "0s" : in_units(value.count(), kDurationUnits);
}

unsigned FileMode::read(const toml::node& node) const {
  if (!node.is_string()) {
    throw Refused(
        fmt::format("expected an octal mode in quotes such as \"0660\", got {}", kind_of(node)));
  }
  const auto text = read_string(node, "");
  const auto mode = text::number<unsigned>(text, 8);
  if (!mode || *mode > 0777 || text.size() < 3) {
    throw Refused(fmt::format("\"{}\" is not an octal mode from \"0000\" to \"0777\"", text));
  }
  return *mode;
}

std::string FileMode::print(unsigned value) const {
  return quoted(fmt::format("{:04o}", value));
}

std::size_t read_choice(const toml::node& node, const std::vector<std::string_view>& names) {
  std::string wanted;
  for (const auto name : names) wanted += (wanted.empty() ? "" : ", ") + quoted(name);
  const auto* text = node.as_string();
  if (text == nullptr) refuse_kind(node, "one of " + wanted);
  const auto found = std::find(names.begin(), names.end(), text->get());
  if (found == names.end()) {
    throw Refused(fmt::format("\"{}\" is not one of {}", text->get(), wanted));
  }
  return found - names.begin();
}

std::string Text::read(const toml::node& node) const {
  auto text = read_string(node, example);
  if (auto reason = check(text); !reason.empty()) throw Refused(reason);
  return text;
}

MilterSocket MilterSocketText::read(const toml::node& node) const {
  auto parsed =
      parse_milter_socket(read_string(node, R"("unix:/var/spool/postfix/segmilter/milter.sock")"));
  if (const auto* reason = std::get_if<std::string>(&parsed)) throw Refused(*reason);
  return std::get<MilterSocket>(std::move(parsed));
}

OneEndpoint::Value OneEndpoint::read(const toml::node& node) const {
  return parse_endpoint(read_string(node, kEndpointExample));
}

std::string OneEndpoint::print(const Value& value) const {
  return value ? quoted(value->print()) : "";
}

Endpoints::Value Endpoints::read(const toml::node& node) const {
  return read_distinct(node, R"("192.0.2.1:25", "[2001:db8::1]:25")", parse_endpoint);
}

std::string Endpoints::print(const Value& value) const {
  return print_list(value);
}

Ports::Value Ports::read(const toml::node& node) const {
  const auto* array = node.as_array();
  if (array == nullptr) refuse_kind(node, "an array such as [25, 465]");
  if (array->size() > most) throw Refused(fmt::format("the list has more than {} ports", most));
  Value ports;
  for (const auto& element : *array) {
    const auto port = static_cast<std::uint16_t>(Number{1, 65535}.read(element));
    if (std::find(ports.begin(), ports.end(), port) != ports.end()) {
      throw Refused(fmt::format("{} occurs twice", port));
    }
    ports.push_back(port);
  }
  return ports;
}

std::string Ports::print(const Value& value) const {
  return fmt::format("[{}]", fmt::join(value, ", "));
}

Files::Value Files::read(const toml::node& node) const {
  return read_distinct(node, R"("/etc/segmilter/own.gait")", absolute_path);
}

std::string Files::print(const Value& value) const {
  return print_strings(value);
}

Suffixes::Value Suffixes::read(const toml::node& node) const {
  constexpr std::size_t kMost = 1000;  // each message of a client is compared with all of them
  auto suffixes = read_distinct(node, R"(".example.org", "example.net")", host_suffix);
  if (suffixes.size() > kMost) {
    throw Refused(fmt::format("the list has more than {} names", kMost));
  }
  return suffixes;
}

std::string Suffixes::print(const Value& value) const {
  return print_strings(value);
}

Hosts::Value Hosts::read(const toml::node& node) const {
  constexpr std::size_t kMost = 100;  // each request is compared with all of them
  auto hosts = read_distinct(node, R"("mx1.example.org", "192.0.2.1")", host_or_address);
  if (hosts.size() > kMost) throw Refused(fmt::format("the list has more than {} names", kMost));
  return hosts;
}

std::string Hosts::print(const Value& value) const {
  return print_strings(value);
}

Networks::Value Networks::read(const toml::node& node) const {
  Value networks;
  for_each_string(node, R"("192.0.2.0/24", "2001:db8::/32")", [&](const std::string& text) {
    const auto network = net::Network::parse(text);
    if (!network) {
      throw Refused(
          fmt::format("\"{}\" is not an address or a network such as \"192.0.2.0/24\" or "
                      "\"2001:db8::/32\" (no bits may be set after the prefix)",
                      text));
    }
    networks.push_back(*network);
  });
  return networks;
}

std::string Networks::print(const Value& value) const {
  return print_list(value);
}

}  // namespace config
