#include "login_text.h"

#include <cstring>

namespace {

bool decimal(const std::string& value, uint32_t low, uint32_t high) {
  if (value.empty() || value.size() > 8) return false;
  uint32_t number = 0;
  for (const char c : value) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + uint32_t(c - '0');
  }
  return number >= low && number <= high;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

// A binary value in either of the RFC's encodings, as upper-case hex digits of
// whole bytes. Empty when it is malformed or longer than the limit.
std::string binary_as_hex(const std::string& value, size_t limit) {
  static const char kDigits[] = "0123456789ABCDEF";
  if (value.size() < 3 || value[0] != '0') return "";
  std::string hex;
  if (value[1] == 'x' || value[1] == 'X') {
    for (size_t i = 2; i < value.size(); i++) {
      const int digit = hex_digit(value[i]);
      if (digit < 0) return "";
      hex += kDigits[digit];
    }
    if (hex.size() % 2 == 1) hex.insert(0, 1, '0');
  } else if (value[1] == 'b' || value[1] == 'B') {
    uint32_t bits = 0;
    int count = 0;
    size_t end = value.size();
    while (end > 2 && value[end - 1] == '=') end--;
    for (size_t i = 2; i < end; i++) {
      const int digit = base64_digit(value[i]);
      if (digit < 0) return "";
      bits = (bits << 6 | uint32_t(digit)) & 0xffff;
      count += 6;
      if (count >= 8) {
        count -= 8;
        const uint32_t byte = bits >> count & 0xff;
        hex += kDigits[byte >> 4];
        hex += kDigits[byte & 15];
      }
    }
  }
  return hex.size() <= limit * 2 ? hex : "";
}

}  // namespace

bool parse_text(const uint8_t* bytes, size_t length, TextPairs& pairs) {
  size_t at = 0;
  while (at < length) {
    if (bytes[at] == 0) {
      at++;  // padding that the target counted as data
      continue;
    }
    const void* end = memchr(bytes + at, 0, length - at);
    if (end == nullptr) return false;
    const std::string line(reinterpret_cast<const char*>(bytes + at));
    const size_t equals = line.find('=');
    if (equals == std::string::npos || equals == 0) return false;
    pairs.emplace_back(line.substr(0, equals), line.substr(equals + 1));
    at += line.size() + 1;
  }
  return true;
}

const std::string* find_key(const TextPairs& pairs, const char* key) {
  for (const auto& pair : pairs) {
    if (pair.first == key) return &pair.second;
  }
  return nullptr;
}

LoginText rewrite_login_text(const TextPairs& pairs, bool mutual) {
  LoginText out;
  const auto pass = [&out](const std::string& key, const std::string& value) {
    out.text += key + "=" + value;
    out.text += '\0';
  };
  const auto refuse = [&out](const std::string& problem, bool authentication) {
    out.problem = problem;
    out.authentication = authentication;
  };
  for (const auto& [key, value] : pairs) {
    if (key == "MaxRecvDataSegmentLength" || key == "MaxBurstLength" || key == "FirstBurstLength") {
      if (!decimal(value, 512, 16777215)) refuse(key + " is out of range", false);
      pass(key, value);
    } else if (key == "InitialR2T" || key == "ImmediateData") {
      if (value != "Yes" && value != "No") refuse(key + " is neither Yes nor No", false);
      pass(key, value);
    } else if (key == "HeaderDigest") {
      if (value != "None" && value != "CRC32C") refuse("it chose no header digest that was offered", false);
      out.header_digest = value == "CRC32C";
      out.has_header_digest = true;
      pass(key, "None");
    } else if (key == "DataDigest") {
      if (value != "None") refuse("it chose a data digest that was not offered", false);
    } else if (key == "AuthMethod") {
      if (value != "CHAP" && value != "None") refuse("it accepts no authentication method that was offered", true);
      pass(key, value);
    } else if (key == "CHAP_A") {
      if (value != "5") refuse("it wants a CHAP algorithm other than MD5", true);
      pass(key, value);
    } else if (key == "CHAP_I") {
      if (!decimal(value, 0, 255)) refuse("its CHAP identifier is out of range", false);
      pass(key, value);
    } else if (key == "CHAP_C") {
      const std::string hex = binary_as_hex(value, 1024);
      if (hex.empty()) refuse("its CHAP challenge is malformed", false);
      pass(key, "0x" + hex);
    } else if (key == "CHAP_N") {
      out.has_chap_name = true;
      if (mutual) pass(key, value);
    } else if (key == "CHAP_R" && mutual) {
      const std::string hex = binary_as_hex(value, 16);
      if (hex.size() != 32) refuse("its CHAP response is malformed", true);
      out.has_chap_response = true;
      pass(key, "0x" + hex);
    }
  }
  return out;
}
