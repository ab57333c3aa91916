// Stands between the wire and libiscsi and lets only well-formed answers to what
// was asked pass.
//
// libiscsi 1.19 trusts its target. Among other things it reads past short sense
// data, dereferences a null task when data arrives under the tag of a login,
// queues PDUs without end for a transfer length the target made up, keeps
// writing from a task that was answered early, drops its callback on an empty
// data segment, accepts a login that skipped the target's half of mutual CHAP,
// and cannot read a SendTargets answer of several PDUs. So every PDU is framed
// and checked here first. Data-In, sense and text are kept here and never reach
// the library; what does reach it is a header whose every field was checked.
// Header digests are added, verified and removed here too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "command.h"
#include "pdu.h"

// What the guard needs from the connection that it serves.
class GuardOwner {
 public:
  // Takes one checked PDU for libiscsi.
  virtual void feed(const uint8_t* header, const uint8_t* data, size_t length) = 0;
  virtual Command* find(uint32_t tag) = 0;
  virtual void login_refused(uint16_t status, const uint8_t* text, size_t length) = 0;

 protected:
  ~GuardOwner() = default;
};

class Guard {
 public:
  enum class Fault { kNone, kProtocol, kClosed, kAuthentication };

  Guard(GuardOwner* owner, bool mutual) : owner_(owner), mutual_(mutual) {}

  // Takes bytes that libiscsi wrote; whole PDUs go to outbound().
  void from_library(const uint8_t* bytes, size_t length);
  // Takes bytes that the target sent. Stops at the first fault.
  void from_target(const uint8_t* bytes, size_t length);

  // What is to be sent to the target.
  std::vector<uint8_t>& outbound() { return outbound_; }
  // Everything queued so far went out.
  void outbound_sent() { pings_ = 0; }

  void logged_in() { full_feature_ = true; }
  bool full_feature() const { return full_feature_; }
  // The whole text of a SendTargets answer.
  std::vector<uint8_t>& text() { return text_; }

  Fault fault() const { return fault_; }
  // One phrase that goes on from "the target".
  const std::string& problem() const { return problem_; }
  // At the start of a PDU: a connection that ends here ends cleanly.
  bool between_answers() const { return inbound_.empty(); }

 private:
  void fail(Fault fault, const std::string& problem);
  void send(const uint8_t* header, const uint8_t* data, size_t length);
  void outgoing(const uint8_t* header, const uint8_t* data, size_t length);
  void incoming(uint8_t* header, const uint8_t* data, size_t length);
  void login_response(uint8_t* header, const uint8_t* data, size_t length);
  void text_response(uint8_t* header, const uint8_t* data, size_t length);
  void scsi_response(uint8_t* header, const uint8_t* data, size_t length);
  void data_in(uint8_t* header, const uint8_t* data, size_t length);
  void ready_to_transfer(uint8_t* header);
  void async_message(const uint8_t* header);
  void answer(Command* command, uint8_t* header);
  Command* command_of(const uint8_t* header);

  GuardOwner* owner_;
  bool mutual_;
  bool full_feature_ = false;
  bool digest_ = false;
  bool digest_agreed_ = false;

  bool login_pending_ = false;
  uint32_t login_tag_ = 0;
  uint8_t login_flags_ = 0;
  bool challenge_sent_ = false;
  int login_answers_ = 0;

  bool text_pending_ = false;
  uint8_t text_request_[pdu::kHeader] = {};
  int text_answers_ = 0;

  bool logout_pending_ = false;
  uint32_t logout_tag_ = 0;
  int pings_ = 0;

  std::vector<uint8_t> library_;
  std::vector<uint8_t> inbound_;
  std::vector<uint8_t> outbound_;
  std::vector<uint8_t> text_;
  Fault fault_ = Fault::kNone;
  std::string problem_;
};
