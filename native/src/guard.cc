#include "guard.h"

#include <cstring>

#include "crc32c.h"
#include "login_text.h"

namespace {

// More than any login takes; libiscsi itself gives up after ten requests.
constexpr int kMaxLoginAnswers = 16;
constexpr size_t kMaxLoginText = 16384;
// Room for some fifty thousand targets.
constexpr int kMaxTextAnswers = 1024;
constexpr size_t kMaxText = 8 << 20;
// Pings that the target may send without taking our answers.
constexpr int kMaxPings = 256;

const char* reject_reason(uint8_t reason) {
  switch (reason) {
    case 0x02: return "data digest error";
    case 0x03: return "SNACK refused";
    case 0x04: return "protocol error";
    case 0x05: return "command not supported";
    case 0x06: return "too many immediate commands";
    case 0x07: return "task in progress";
    case 0x08: return "invalid data acknowledgement";
    case 0x09: return "invalid field";
    case 0x0a: return "long operation refused";
    case 0x0b: return "negotiation reset";
    case 0x0c: return "waiting for logout";
    default: return "no known reason";
  }
}

// Appends, and forgets what was consumed at the front only when it pays.
void drop_front(std::vector<uint8_t>& bytes, size_t count) {
  bytes.erase(bytes.begin(), bytes.begin() + std::ptrdiff_t(count));
}

}  // namespace

void Guard::fail(Fault fault, const std::string& problem) {
  if (fault_ != Fault::kNone) return;
  fault_ = fault;
  problem_ = problem;
}

void Guard::send(const uint8_t* header, const uint8_t* data, size_t length) {
  outbound_.insert(outbound_.end(), header, header + pdu::kHeader);
  // Login PDUs carry no digests (RFC 7143 section 13.1).
  if (digest_ && pdu::opcode(header) != pdu::kLoginRequest) {
    const uint32_t crc = crc32c(header, pdu::kHeader);
    for (int shift = 0; shift < 32; shift += 8) outbound_.push_back(uint8_t(crc >> shift));
  }
  if (length > 0) outbound_.insert(outbound_.end(), data, data + length);
}

void Guard::from_library(const uint8_t* bytes, size_t length) {
  library_.insert(library_.end(), bytes, bytes + length);
  size_t at = 0;
  while (library_.size() - at >= pdu::kHeader) {
    const uint8_t* header = library_.data() + at;
    const size_t data = pdu::padded(pdu::data_length(header));
    if (library_.size() - at < pdu::kHeader + data) break;
    outgoing(header, header + pdu::kHeader, data);
    at += pdu::kHeader + data;
  }
  drop_front(library_, at);
}

void Guard::outgoing(const uint8_t* header, const uint8_t* data, size_t length) {
  switch (pdu::opcode(header)) {
    case pdu::kLoginRequest: {
      login_pending_ = true;
      login_tag_ = pdu::task_tag(header);
      login_flags_ = header[1];
      TextPairs pairs;
      if (parse_text(data, length, pairs) && find_key(pairs, "CHAP_C") != nullptr) challenge_sent_ = true;
      break;
    }
    case pdu::kTextRequest:
      text_pending_ = true;
      memcpy(text_request_, header, pdu::kHeader);
      break;
    case pdu::kLogoutRequest:
      logout_pending_ = true;
      logout_tag_ = pdu::task_tag(header);
      break;
    case pdu::kScsiCommand:
    case pdu::kDataOut: {
      Command* command = owner_->find(pdu::task_tag(header));
      if (command == nullptr) break;
      command->sent = true;
      // libiscsi knows only the first two of a LUN's eight bytes.
      uint8_t addressed[pdu::kHeader];
      memcpy(addressed, header, pdu::kHeader);
      memcpy(addressed + 8, command->lun, sizeof command->lun);
      return send(addressed, data, length);
    }
    default:
      break;
  }
  send(header, data, length);
}

void Guard::from_target(const uint8_t* bytes, size_t length) {
  inbound_.insert(inbound_.end(), bytes, bytes + length);
  size_t at = 0;
  while (fault_ == Fault::kNone && inbound_.size() - at >= pdu::kHeader) {
    uint8_t* wire = inbound_.data() + at;
    // A digest may cover these bytes, but whoever lies about the length can also
    // compute a digest.
    if (wire[4] != 0) return fail(Fault::kProtocol, "sent a header with an extension, which was not agreed");
    const size_t digest = digest_ ? pdu::kDigest : 0;
    const size_t data = pdu::padded(pdu::data_length(wire));
    if (data > pdu::kMaxSegment) return fail(Fault::kProtocol, "sent more data in one piece than was agreed");
    const size_t total = pdu::kHeader + digest + data;
    if (inbound_.size() - at < total) break;
    if (digest_) {
      const uint32_t crc = crc32c(wire, pdu::kHeader);
      for (size_t i = 0; i < pdu::kDigest; i++) {
        if (wire[pdu::kHeader + i] != uint8_t(crc >> (8 * i))) {
          return fail(Fault::kProtocol, "sent a header whose digest is wrong");
        }
      }
    }
    uint8_t header[pdu::kHeader];
    memcpy(header, wire, pdu::kHeader);
    incoming(header, wire + pdu::kHeader + digest, pdu::data_length(wire));
    at += total;
  }
  drop_front(inbound_, at);
}

void Guard::incoming(uint8_t* header, const uint8_t* data, size_t length) {
  const uint8_t opcode = pdu::opcode(header);
  if (!full_feature_ && opcode != pdu::kLoginResponse) {
    if (opcode == pdu::kReject && length >= 1) {
      return fail(Fault::kProtocol, std::string("rejected the login (") + reject_reason(header[2]) + ")");
    }
    return fail(Fault::kProtocol, "answered the login with something that is no login response");
  }
  switch (opcode) {
    case pdu::kLoginResponse:
      return login_response(header, data, length);
    case pdu::kTextResponse:
      return text_response(header, data, length);
    case pdu::kScsiResponse:
      return scsi_response(header, data, length);
    case pdu::kDataIn:
      return data_in(header, data, length);
    case pdu::kReadyToTransfer:
      return ready_to_transfer(header);
    case pdu::kAsyncMessage:
      return async_message(header);
    case pdu::kLogoutResponse:
      if (!logout_pending_ || pdu::task_tag(header) != logout_tag_) {
        return fail(Fault::kProtocol, "answered a logout that was not asked for");
      }
      logout_pending_ = false;
      pdu::set_data_length(header, 0);
      return owner_->feed(header, nullptr, 0);
    case pdu::kNopIn:
      if (pdu::task_tag(header) != pdu::kNoTag) {
        return fail(Fault::kProtocol, "answered a ping that was not sent");
      }
      if (pdu::get32(header + 20) != pdu::kNoTag && ++pings_ > kMaxPings) {
        return fail(Fault::kProtocol, "sends pings without taking the answers");
      }
      pdu::set_data_length(header, 0);
      return owner_->feed(header, nullptr, 0);
    case pdu::kReject:
      return fail(Fault::kProtocol, std::string("rejected a request (") + reject_reason(header[2]) + ")");
    default:
      return fail(Fault::kProtocol, "sent something that is no iSCSI answer");
  }
}

void Guard::login_response(uint8_t* header, const uint8_t* data, size_t length) {
  if (!login_pending_ || pdu::task_tag(header) != login_tag_) {
    return fail(Fault::kProtocol, "answered a login that was not asked for");
  }
  if (length > kMaxLoginText || ++login_answers_ > kMaxLoginAnswers) {
    return fail(Fault::kProtocol, "does not come to an end with the login");
  }
  login_pending_ = false;
  const uint16_t status = uint16_t(header[36] << 8 | header[37]);
  if (status != 0) return owner_->login_refused(status, data, length);

  const uint8_t flags = header[1];
  if (flags & pdu::kContinue) return fail(Fault::kProtocol, "spread a login answer over several PDUs");
  const bool transit = flags & pdu::kFinal;
  const uint8_t stage = flags & 0x0c;
  // RFC 7143 section 11.13.4: the answer stays in the stage of the request, and
  // moves on only where the request offered to.
  if (stage != (login_flags_ & 0x0c) ||
      (transit && (!(login_flags_ & pdu::kFinal) || (flags & 3) != (login_flags_ & 3)))) {
    return fail(Fault::kProtocol, "jumped to another stage of the login");
  }
  TextPairs pairs;
  if (!parse_text(data, length, pairs)) return fail(Fault::kProtocol, "sent login text that is not key=value");
  const bool proof_due = mutual_ && challenge_sent_ && transit && stage == 0;
  const LoginText login = rewrite_login_text(pairs, proof_due);
  if (!login.problem.empty()) {
    return fail(login.authentication ? Fault::kAuthentication : Fault::kProtocol,
                "sent a login answer that cannot be accepted: " + login.problem);
  }
  // libiscsi holds these to be optional when the target leaves the security
  // stage early, and takes a response from before it sent its challenge.
  if (mutual_ && stage == 0 && transit && !(proof_due && login.has_chap_name && login.has_chap_response)) {
    return fail(Fault::kAuthentication, "did not prove its own identity, as mutual CHAP asks");
  }
  if (login.has_header_digest) digest_agreed_ = login.header_digest;
  std::string text = login.text;
  // Without an answer the default holds, which libiscsi would not think of.
  if (transit && (flags & 3) == 3) {
    text += "HeaderDigest=None";
    text += '\0';
    digest_ = digest_agreed_;
  }
  pdu::set_data_length(header, uint32_t(text.size()));
  text.resize(pdu::padded(text.size()));
  owner_->feed(header, reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

void Guard::text_response(uint8_t* header, const uint8_t* data, size_t length) {
  if (!text_pending_ || pdu::task_tag(header) != pdu::task_tag(text_request_)) {
    return fail(Fault::kProtocol, "answered a text request that was not sent");
  }
  if (++text_answers_ > kMaxTextAnswers || text_.size() + length > kMaxText) {
    return fail(Fault::kProtocol, "does not come to an end with its list of targets");
  }
  text_.insert(text_.end(), data, data + length);
  const uint32_t transfer_tag = pdu::get32(header + 20);
  const bool last = (header[1] & pdu::kFinal) && !(header[1] & pdu::kContinue);
  if (last) {
    text_pending_ = false;
    header[1] = pdu::kFinal;
    pdu::set_data_length(header, 0);
    return owner_->feed(header, nullptr, 0);
  }
  if (transfer_tag == pdu::kNoTag) {
    return fail(Fault::kProtocol, "broke off its list of targets without a way to ask for the rest");
  }
  // RFC 7143 section 11.10: an empty request with the tag of the answer asks for
  // the next part.
  uint8_t next[pdu::kHeader];
  memcpy(next, text_request_, pdu::kHeader);
  pdu::set_data_length(next, 0);
  pdu::set32(next + 20, transfer_tag);
  pdu::set32(next + 28, pdu::get32(header + 24) + 1);
  send(next, nullptr, 0);
}

Command* Guard::command_of(const uint8_t* header) {
  Command* command = owner_->find(pdu::task_tag(header));
  if (command != nullptr && command->sent && !command->answered) return command;
  fail(Fault::kProtocol, "answered a command that was not sent");
  return nullptr;
}

// Ends a command for libiscsi with the plainest answer there is; what the target
// really said is in the command by now.
void Guard::answer(Command* command, uint8_t* header) {
  command->answered = true;
  header[0] = pdu::kScsiResponse;
  header[1] = pdu::kFinal;
  header[2] = 0;
  header[3] = 0;
  pdu::set_data_length(header, 0);
  pdu::set32(header + 36, 0);
  pdu::set32(header + 40, 0);
  pdu::set32(header + 44, 0);
  owner_->feed(header, nullptr, 0);
}

namespace {

double residual_of(const uint8_t* header) {
  const double count = pdu::get32(header + 44);
  if (header[1] & pdu::kUnderflow) return count;
  if (header[1] & pdu::kOverflow) return -count;
  return 0;
}

}  // namespace

void Guard::scsi_response(uint8_t* header, const uint8_t* data, size_t length) {
  Command* command = command_of(header);
  if (command == nullptr) return;
  command->response = header[2];
  command->status = header[3];
  command->residual = residual_of(header);
  if (length >= 2) {
    size_t sense = size_t{data[0]} << 8 | data[1];
    if (sense > length - 2) sense = length - 2;
    command->sense.assign(data + 2, data + 2 + sense);
  }
  answer(command, header);
}

void Guard::data_in(uint8_t* header, const uint8_t* data, size_t length) {
  Command* command = command_of(header);
  if (command == nullptr) return;
  const uint32_t offset = pdu::get32(header + 40);
  // DataPDUInOrder and DataSequenceInOrder are both agreed, so there is one
  // offset that is right.
  if (offset != command->data_in.size() || pdu::get32(header + 36) != command->next_data_sn) {
    return fail(Fault::kProtocol, "sent data out of order");
  }
  if (length > command->expected_in - offset) return fail(Fault::kProtocol, "sent more data than was asked for");
  command->next_data_sn++;
  if (command->data_in.empty()) command->data_in.reserve(command->expected_in);
  command->data_in.insert(command->data_in.end(), data, data + length);
  if (!(header[1] & pdu::kHasStatus)) return;
  if (!(header[1] & pdu::kFinal)) return fail(Fault::kProtocol, "sent a status with data that goes on");
  command->status = header[3];
  command->residual = residual_of(header);
  answer(command, header);
}

void Guard::ready_to_transfer(uint8_t* header) {
  Command* command = command_of(header);
  if (command == nullptr) return;
  const uint32_t offset = pdu::get32(header + 40);
  const uint32_t length = pdu::get32(header + 44);
  const size_t size = command->data_out.size();
  if (length == 0 || offset > size || length > size - offset || pdu::get32(header + 20) == pdu::kNoTag) {
    return fail(Fault::kProtocol, "asked for data that the command does not have");
  }
  // At error recovery level 0 each byte is asked for once.
  if (length > size - command->solicited) return fail(Fault::kProtocol, "asked for the same data again and again");
  command->solicited += length;
  pdu::set_data_length(header, 0);
  owner_->feed(header, nullptr, 0);
}

void Guard::async_message(const uint8_t* header) {
  // RFC 7143 section 11.9. libiscsi would log out and connect again by itself.
  switch (header[36]) {
    case 0:    // a SCSI event, for information
    case 255:  // a vendor's own
      return;
    case 1: return fail(Fault::kClosed, "asks all initiators to log out");
    case 2: return fail(Fault::kClosed, "drops this connection");
    case 3: return fail(Fault::kClosed, "drops all connections of the session");
    case 4: return fail(Fault::kClosed, "asks for another negotiation");
    default: return fail(Fault::kProtocol, "sent an event that RFC 7143 does not know");
  }
}
