// The key=value text of login answers (RFC 7143 sections 6 and 13), checked and
// rewritten before libiscsi reads it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

using TextPairs = std::vector<std::pair<std::string, std::string>>;

// Splits a data segment; false when it is not NUL-terminated key=value text.
bool parse_text(const uint8_t* bytes, size_t length, TextPairs& pairs);

const std::string* find_key(const TextPairs& pairs, const char* key);

struct LoginText {
  std::string text;     // what libiscsi is given
  std::string problem;  // one phrase when the answer cannot be accepted
  bool authentication = false;  // the problem is one of authentication
  bool header_digest = false;
  bool has_header_digest = false;
  bool has_chap_name = false;
  bool has_chap_response = false;
};

// libiscsi stores numbers unchecked (a MaxRecvDataSegmentLength of 0 makes it
// queue PDUs without end), walks past the end of a challenge with an odd number
// of digits, knows no base64, and believes in a header digest nobody agreed to.
// So it is given only the keys it acts on, with values within the RFC's ranges,
// binary values as even hex, and always HeaderDigest=None: digests are the
// guard's.
// CHAP_N and CHAP_R of the target are passed on only when they were asked for.
LoginText rewrite_login_text(const TextPairs& pairs, bool mutual);
