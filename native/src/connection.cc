#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"

namespace {

constexpr size_t kReadSize = 65536;
// Reads per turn of the loop, so that a target that floods us starves nobody.
constexpr int kReadsPerTurn = 8;

// libiscsi keeps these in buffers of 255 bytes and cuts what is longer.
constexpr size_t kLibraryString = 255;

// The errno in parentheses that ends libiscsi's messages about sockets.
int error_in(const char* message) {
  const char* open = message == nullptr ? nullptr : strrchr(message, '(');
  return open == nullptr ? 0 : atoi(open + 1);
}

}  // namespace

Connection::~Connection() {
  if (wire_ != -1) close(wire_);
  if (pair_ != -1) close(pair_);
}

napi_value Connection::define(napi_env env) {
  const napi_property_descriptor methods[] = {
      method("connect", connect), method("sendTargets", send_targets), method("command", command),
      method("abandon", abandon), method("flush", flush),              method("logout", logout),
      method("destroy", destroy),
  };
  napi_value constructor;
  napi_define_class(env, "Connection", NAPI_AUTO_LENGTH, construct, nullptr, sizeof methods / sizeof *methods,
                    methods, &constructor);
  return constructor;
}

// new Connection(initiator, target, isid, headerDigest, user, secret, targetUser,
// targetSecret); an empty target means a discovery session.
napi_value Connection::construct(napi_env env, napi_callback_info info) {
  Arguments<8> arguments(env, info);
  auto* self = new Connection(env);
  Options& options = self->options_;
  const bool valid = arguments.text(0, options.initiator) && arguments.text(1, options.target) &&
                     arguments.bytes(2, options.isid) && arguments.number(3, options.header_digest) &&
                     arguments.text(4, options.user) && arguments.text(5, options.secret) &&
                     arguments.text(6, options.target_user) && arguments.text(7, options.target_secret);
  const bool fits = options.initiator.size() < 224 && options.target.size() < 224 && options.isid.size() == 6 &&
                    options.user.size() <= kLibraryString && options.secret.size() <= kLibraryString &&
                    options.target_user.size() <= kLibraryString && options.target_secret.size() <= kLibraryString;
  if (!valid || !fits || options.initiator.empty()) {
    delete self;
    napi_throw_type_error(env, nullptr, "Connection: arguments are missing, mistyped or too long");
    return nullptr;
  }
  const auto collected = [](napi_env, void* data, void*) { static_cast<Connection*>(data)->release(); };
  if (napi_wrap(env, arguments.self, self, collected, nullptr, nullptr) != napi_ok) {
    delete self;
    return nullptr;
  }
  return arguments.self;
}

// connect(address, callback): starts to connect and then log in. Returns 0, or the
// errno that the system gave at once.
napi_value Connection::connect(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  auto* self = arguments.owner<Connection>();
  std::string address;
  if (self == nullptr || self->context_ != nullptr || self->ending_ || !arguments.text(0, address)) {
    napi_throw_type_error(env, nullptr, "Connection.connect: an address and a callback, once");
    return nullptr;
  }
  const int error = self->open(address);
  if (error != 0) {
    self->end();
  } else if (napi_create_reference(env, arguments.values[1], 1, &self->callback_) != napi_ok) {
    self->end();
    napi_throw_type_error(env, nullptr, "Connection.connect: an address and a callback, once");
    return nullptr;
  }
  return arguments.make_number(error);
}

int Connection::open(const std::string& address) {
  context_ = iscsi_create_context(options_.initiator.c_str());
  if (context_ == nullptr) return ENOMEM;
  iscsi_set_noautoreconnect(context_, 1);
  // The random format (RFC 7143 section 11.12.5, T = 10b), which open-iscsi never
  // uses: it takes an OUI (00 02 3d).
  const uint8_t* isid = options_.isid.data();
  iscsi_set_isid_random(context_, uint32_t(isid[1] << 16 | isid[2] << 8 | isid[3]), uint32_t(isid[4] << 8 | isid[5]));
  iscsi_set_header_digest(context_, static_cast<iscsi_header_digest>(options_.header_digest));
  iscsi_set_session_type(context_, options_.target.empty() ? ISCSI_SESSION_DISCOVERY : ISCSI_SESSION_NORMAL);
  if (!options_.target.empty()) iscsi_set_targetname(context_, options_.target.c_str());
  if (!options_.user.empty()) {
    iscsi_set_initiator_username_pwd(context_, options_.user.c_str(), options_.secret.c_str());
  }
  if (!options_.target_user.empty()) {
    iscsi_set_target_username_pwd(context_, options_.target_user.c_str(), options_.target_secret.c_str());
  }
  guard_ = std::make_unique<Guard>(this, !options_.target_user.empty());

  const auto ignore = [](iscsi_context*, int, void*, void*) {};
  if (iscsi_connect_async(context_, address.c_str(), ignore, nullptr) != 0) {
    const int error = error_in(iscsi_get_error(context_));
    return error == 0 ? EINVAL : error;
  }
  const int error = adopt_socket();
  if (error != 0) return error;

  uv_loop_s* loop = nullptr;
  napi_get_uv_event_loop(env_, &loop);
  const int failure = uv_poll_init(loop, &handle_, wire_);
  if (failure != 0) return -failure;
  handle_.data = this;
  handle_open_ = true;
  holders_++;
  napi_add_async_cleanup_hook(env_, on_teardown, this, &hook_);
  watch();
  return 0;
}

// Takes the socket out of libiscsi's hands and gives it one end of a pair in its
// place, so that everything passes the guard.
int Connection::adopt_socket() {
  const int theirs = iscsi_get_fd(context_);
  wire_ = fcntl(theirs, F_DUPFD_CLOEXEC, 0);
  if (wire_ == -1) return errno;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return errno;
  pair_ = pair[0];
  const int result = dup3(pair[1], theirs, O_CLOEXEC) == -1 ? errno : 0;
  close(pair[1]);
  return result;
}

void Connection::watch() {
  if (!handle_open_ || ending_) return;
  int events = connected_ ? UV_READABLE : UV_WRITABLE;
  if (!guard_->outbound().empty()) events |= UV_WRITABLE;
  if (events == watched_) return;
  watched_ = events;
  uv_poll_start(&handle_, events, on_poll);
}

void Connection::on_poll(uv_poll_t* handle, int status, int events) {
  auto* self = static_cast<Connection*>(handle->data);
  if (self->ending_) return;
  // libuv stops the handle on an error of the socket, which is told below.
  if (status < 0) self->watched_ = 0;
  if (!self->connected_) {
    self->connected();
  } else if (status < 0) {
    self->readable();
    self->fail("", -status, "");
  } else {
    if (events & UV_WRITABLE) self->send();
    if (events & UV_READABLE) self->readable();
  }
  self->settle();
  self->deliver();
}

void Connection::connected() {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(wire_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return fail("", error, "");
  connected_ = true;
  report(Event::kConnected);
  // The pair is always connected, which is all that libiscsi looks at.
  if (iscsi_service(context_, POLLOUT) != 0 || iscsi_login_async(context_, on_login, this) != 0) {
    library_failed("log in");
  }
}

void Connection::readable() {
  static thread_local std::vector<uint8_t> buffer(kReadSize);
  for (int i = 0; i < kReadsPerTurn && !failed_; i++) {
    const ssize_t count = recv(wire_, buffer.data(), buffer.size(), 0);
    if (count > 0) {
      guard_->from_target(buffer.data(), size_t(count));
      hand_over();
      if (guard_->fault() != Guard::Fault::kNone) break;
      if (size_t(count) < buffer.size()) break;
    } else if (count == 0) {
      return fail("closed", 0, guard_->between_answers() ? "closed the connection" : "closed the connection inside an answer");
    } else if (errno == EAGAIN || errno == EINTR) {
      break;
    } else {
      return fail("", errno, "");
    }
  }
  switch (guard_->fault()) {
    case Guard::Fault::kNone:
      return;
    case Guard::Fault::kAuthentication:
      return fail("authentication", 0, guard_->problem());
    case Guard::Fault::kClosed:
      return fail("closed", 0, guard_->problem());
    case Guard::Fault::kProtocol:
      return fail("protocol", 0, guard_->problem());
  }
}

void Connection::feed(const uint8_t* header, const uint8_t* data, size_t length) {
  feed_.insert(feed_.end(), header, header + pdu::kHeader);
  if (length > 0) feed_.insert(feed_.end(), data, data + length);
  // What comes after a login answer depends on what libiscsi makes of it.
  if (!guard_->full_feature()) hand_over();
}

void Connection::hand_over() {
  if (feed_.empty() || failed_) return;
  // The pair is empty here, and takes more than fits into one read of the wire.
  const ssize_t written = write(pair_, feed_.data(), feed_.size());
  if (written != ssize_t(feed_.size())) return fail("", written < 0 ? errno : ENOBUFS, "");
  feed_.clear();
  int unread = 0;
  do {
    // A negative answer is not the only sign of trouble: without reconnecting,
    // libiscsi cancels everything and returns 0; on_command() sees that.
    if (iscsi_service(context_, POLLIN) != 0) return library_failed("read an answer");
    if (ioctl(iscsi_get_fd(context_), FIONREAD, &unread) != 0) return fail("", errno, "");
  } while (unread > 0 && !failed_);
  collect();
}

// Takes over what libiscsi has to say, as far as the command window lets it.
void Connection::collect() {
  uint8_t buffer[16384];
  while (!failed_ && (iscsi_which_events(context_) & POLLOUT)) {
    if (iscsi_service(context_, POLLOUT) != 0) return library_failed("send a request");
    ssize_t count;
    while ((count = read(pair_, buffer, sizeof buffer)) > 0) guard_->from_library(buffer, size_t(count));
  }
}

void Connection::send() {
  std::vector<uint8_t>& bytes = guard_->outbound();
  size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t count = ::send(wire_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (count > 0) {
      at += size_t(count);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      // The target may have said why before it closed: let the read find out.
      bytes.clear();
      return;
    }
  }
  if (at == bytes.size()) {
    bytes.clear();
    guard_->outbound_sent();
  } else {
    bytes.erase(bytes.begin(), bytes.begin() + std::ptrdiff_t(at));
  }
}

void Connection::settle() {
  if (context_ != nullptr && connected_ && !failed_) {
    collect();
    send();
  }
  if (failed_) {
    end();
  } else {
    watch();
  }
}

Command* Connection::find(uint32_t tag) {
  const auto found = commands_.find(tag);
  return found == commands_.end() ? nullptr : found->second.get();
}

void Connection::login_refused(uint16_t status, const uint8_t* text, size_t length) {
  report(Event::kLoginRefused, status);
  reports_.back().bytes.assign(text, text + length);
  failed_ = true;
}

void Connection::on_login(iscsi_context*, int status, void*, void* data) {
  auto* self = static_cast<Connection*>(data);
  if (self->ending_ || self->failed_) return;
  if (status != SCSI_STATUS_GOOD) return self->library_failed("log in");
  self->guard_->logged_in();
  self->report(Event::kLoggedIn);
}

void Connection::on_text(iscsi_context*, int status, void*, void* data) {
  auto* self = static_cast<Connection*>(data);
  if (self->ending_ || self->failed_) return;
  if (status != SCSI_STATUS_GOOD) return self->library_failed("discover");
  self->report(Event::kText);
  self->reports_.back().bytes = std::move(self->guard_->text());
}

void Connection::on_logout(iscsi_context*, int status, void*, void* data) {
  auto* self = static_cast<Connection*>(data);
  if (self->ending_ || self->failed_ || status != SCSI_STATUS_GOOD) return;
  self->report(Event::kLoggedOut);
  self->failed_ = true;
}

void Connection::on_command(iscsi_context*, int status, void*, void* data) {
  auto* command = static_cast<Command*>(data);
  Connection* self = command->owner;
  // Commands that end with the context are freed with the map.
  if (self->ending_) return;
  if (status != SCSI_STATUS_GOOD || !command->answered) return self->library_failed("run a command");
  const auto found = self->commands_.find(command->tag);
  if (!command->abandoned) {
    self->report(Event::kCommand);
    self->reports_.back().command = std::move(found->second);
  }
  self->commands_.erase(found);
}

napi_value Connection::send_targets(napi_env env, napi_callback_info info) {
  Arguments<0> arguments(env, info);
  auto* self = arguments.owner<Connection>();
  if (self == nullptr || !self->open_for_requests()) return nullptr;
  if (iscsi_discovery_async(self->context_, on_text, self) != 0) self->library_failed("discover");
  self->settle();
  self->deliver();
  return nullptr;
}

// command(id, LUN and CDB, length of the CDB, expectedIn, dataOut): queues; flush() sends. False when
// the connection has ended.
napi_value Connection::command(napi_env env, napi_callback_info info) {
  Arguments<5> arguments(env, info);
  auto* self = arguments.owner<Connection>();
  auto command = std::make_unique<Command>();
  std::vector<uint8_t> request;
  int id = 0, length = 0, expected = 0;
  constexpr size_t kLun = sizeof command->lun;
  if (self == nullptr || !arguments.number(0, id) || !arguments.bytes(1, request) || !arguments.number(2, length) ||
      !arguments.number(3, expected) || !arguments.bytes(4, command->data_out) || length < 1 || length > 16 ||
      expected < 0 || request.size() < kLun + size_t(length)) {
    napi_throw_type_error(env, nullptr, "Connection.command: arguments are missing, mistyped or out of range");
    return nullptr;
  }
  if (!self->open_for_requests()) return arguments.make_boolean(false);
  command->owner = self;
  command->id = uint32_t(id);
  std::copy_n(request.begin(), kLun, command->lun);
  command->expected_in = uint32_t(expected);
  const int out = int(command->data_out.size());
  const int direction = out > 0 ? SCSI_XFER_WRITE : expected > 0 ? SCSI_XFER_READ : SCSI_XFER_NONE;
  command->task = scsi_create_task(length, request.data() + kLun, direction, out > 0 ? out : expected);
  command->out.size = size_t(out);
  command->out.data = command->data_out.data();
  if (command->task == nullptr || iscsi_scsi_command_async(self->context_, 0, command->task, on_command,
                                                           out > 0 ? &command->out : nullptr, command.get()) != 0) {
    return arguments.make_boolean(false);
  }
  command->tag = command->task->itt;
  self->commands_.emplace(command->tag, std::move(command));
  return arguments.make_boolean(true);
}

// abandon(id): its answer, should it come, is dropped.
napi_value Connection::abandon(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  auto* self = arguments.owner<Connection>();
  int id = 0;
  if (self == nullptr || !arguments.number(0, id)) return nullptr;
  for (auto& entry : self->commands_) {
    if (entry.second->id == uint32_t(id)) entry.second->abandoned = true;
  }
  return nullptr;
}

napi_value Connection::flush(napi_env env, napi_callback_info info) {
  Arguments<0> arguments(env, info);
  auto* self = arguments.owner<Connection>();
  if (self == nullptr || !self->open_for_requests()) return nullptr;
  self->settle();
  self->deliver();
  return nullptr;
}

napi_value Connection::logout(napi_env env, napi_callback_info info) {
  Arguments<0> arguments(env, info);
  auto* self = arguments.owner<Connection>();
  if (self == nullptr || !self->open_for_requests() || iscsi_logout_async(self->context_, on_logout, self) != 0) {
    return arguments.make_boolean(false);
  }
  self->settle();
  self->deliver();
  return arguments.make_boolean(true);
}

napi_value Connection::destroy(napi_env env, napi_callback_info info) {
  Arguments<0> arguments(env, info);
  auto* self = arguments.owner<Connection>();
  if (self != nullptr) self->end();
  return nullptr;
}

void Connection::report(Event event, int number) {
  reports_.push_back(Report{event, nullptr, number, "", {}});
}

// kind is empty where error says it.
void Connection::fail(const std::string& kind, int error, const std::string& text) {
  if (failed_) return;
  failed_ = true;
  report(Event::kFailed, error);
  reports_.back().text = kind + "\n" + text;
}

void Connection::library_failed(const char* doing) {
  const std::string reason = iscsi_get_error(context_);
  const bool authentication = reason.find("CHAP") != std::string::npos;
  fail(authentication ? "authentication" : "protocol", 0,
       authentication ? "gave a wrong proof of its identity in mutual CHAP"
                      : std::string("did not let libiscsi ") + doing + ": " + reason);
}

// The bytes that go with a report: of a command what was read, or why not.
const std::vector<uint8_t>& Connection::payload(const Report& report) {
  if (report.command == nullptr) return report.bytes;
  const Command& command = *report.command;
  const bool done = command.response == 0 &&
                    (command.status == SCSI_STATUS_GOOD || command.status == SCSI_STATUS_CONDITION_MET);
  return done ? command.data_in : command.sense;
}

// Tells JavaScript everything at once. The last thing a function does: the
// callback may well destroy the connection.
void Connection::deliver() {
  if (reports_.empty() || callback_ == nullptr) return;
  const std::vector<Report> reports = std::move(reports_);
  reports_.clear();
  const napi_env env = env_;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value list;
  napi_create_array_with_length(env, reports.size() * 4, &list);
  size_t total = 0;
  for (const Report& report : reports) total += payload(report).size();
  SharedBytes shared(env, total);
  uint32_t at = 0;
  const auto push = [&](napi_value value) { napi_set_element(env, list, at++, value); };
  for (const Report& report : reports) {
    push(make_number(env, int(report.event)));
    if (report.command != nullptr) {
      const Command& command = *report.command;
      push(make_number(env, command.id));
      push(make_number(env, command.response != 0 ? -double(command.response) : command.status));
    } else {
      push(make_number(env, report.number));
      push(make_text(env, report.text));
    }
    push(shared.add(payload(report)));
  }
  napi_value callback, receiver, result;
  napi_get_reference_value(env, callback_, &callback);
  napi_get_global(env, &receiver);
  if (ending_) {
    napi_delete_reference(env, callback_);
    callback_ = nullptr;
  }
  if (napi_make_callback(env, nullptr, receiver, callback, 1, &list, &result) == napi_pending_exception) {
    napi_get_and_clear_last_exception(env, &result);
    napi_fatal_exception(env, result);
  }
  napi_close_handle_scope(env, scope);
}

void Connection::end() {
  if (ending_) return;
  ending_ = true;
  // Its callbacks run here, see ending_ and touch nothing.
  if (context_ != nullptr) iscsi_destroy_context(context_);
  context_ = nullptr;
  commands_.clear();
  if (pair_ != -1) close(pair_);
  pair_ = -1;
  // The reports that are left are delivered by whoever called.
  if (callback_ != nullptr && reports_.empty()) {
    napi_delete_reference(env_, callback_);
    callback_ = nullptr;
  }
  if (!handle_open_) return;
  handle_open_ = false;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), [](uv_handle_t* handle) {
    auto* self = static_cast<Connection*>(handle->data);
    if (self->hook_ != nullptr) napi_remove_async_cleanup_hook(self->hook_);
    self->hook_ = nullptr;
    // Not before: until now the loop may still have known the descriptor.
    close(self->wire_);
    self->wire_ = -1;
    self->release();
  });
  // The peer need not wait for the turn of the loop.
  shutdown(wire_, SHUT_RDWR);
}

void Connection::on_teardown(napi_async_cleanup_hook_handle, void* data) {
  auto* self = static_cast<Connection*>(data);
  self->reports_.clear();
  self->end();
}

void Connection::release() {
  if (--holders_ == 0) delete this;
}
