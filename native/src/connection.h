// One TCP connection to a target with its libiscsi context: what a session holds.
//
// Lifetime. Two parties hold a Connection: its JavaScript object, until it is
// collected, and its poll handle, from connect() until the loop has closed it.
// The last one to let go deletes it. While the handle is open the JavaScript
// callback is held strongly, so an open connection is never collected. Ending
// (destroy(), a fault, the end of the environment) happens once: the library's
// context and every command go first, then the descriptors, then the handle.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "command.h"
#include "guard.h"

class Connection final : public GuardOwner {
 public:
  static napi_value define(napi_env env);

 private:
  // What JavaScript is told, in the order in which it happened: a flat list of
  // four values each (lib/addon.ts).
  enum class Event { kConnected, kLoggedIn, kLoginRefused, kText, kLoggedOut, kCommand, kFailed };

  struct Report {
    Event event;
    std::unique_ptr<Command> command;
    int number = 0;
    std::string text;
    std::vector<uint8_t> bytes;
  };

  struct Options {
    std::string initiator, target, user, secret, target_user, target_secret;
    std::vector<uint8_t> isid;
    int header_digest = 0;
  };

  explicit Connection(napi_env env) : env_(env) {}
  ~Connection();

  static napi_value construct(napi_env env, napi_callback_info info);
  static napi_value connect(napi_env env, napi_callback_info info);
  static napi_value send_targets(napi_env env, napi_callback_info info);
  static napi_value command(napi_env env, napi_callback_info info);
  static napi_value abandon(napi_env env, napi_callback_info info);
  static napi_value flush(napi_env env, napi_callback_info info);
  static napi_value logout(napi_env env, napi_callback_info info);
  static napi_value destroy(napi_env env, napi_callback_info info);

  static void on_poll(uv_poll_t* handle, int status, int events);
  static void on_teardown(napi_async_cleanup_hook_handle hook, void* data);
  static void on_login(iscsi_context* context, int status, void* data, void* self);
  static void on_text(iscsi_context* context, int status, void* data, void* self);
  static void on_logout(iscsi_context* context, int status, void* data, void* self);
  static void on_command(iscsi_context* context, int status, void* data, void* command);

  void feed(const uint8_t* header, const uint8_t* data, size_t length) override;
  Command* find(uint32_t tag) override;
  void login_refused(uint16_t status, const uint8_t* text, size_t length) override;

  int open(const std::string& address);
  int adopt_socket();
  void connected();
  void readable();
  void hand_over();
  void collect();
  void send();
  void settle();
  void watch();
  void fail(const std::string& kind, int error, const std::string& text);
  void library_failed(const char* doing);
  void report(Event event, int number = 0);
  static const std::vector<uint8_t>& payload(const Report& report);
  void deliver();
  void end();
  void release();
  bool open_for_requests() const { return context_ != nullptr && !failed_ && connected_; }

  napi_env env_;
  napi_ref callback_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  int holders_ = 1;
  Options options_;
  std::unique_ptr<Guard> guard_;
  iscsi_context* context_ = nullptr;
  uv_poll_t handle_{};
  bool handle_open_ = false;
  int watched_ = 0;
  int wire_ = -1;  // to the target
  int pair_ = -1;  // to libiscsi
  bool connected_ = false;
  bool failed_ = false;
  bool ending_ = false;
  std::unordered_map<uint32_t, std::unique_ptr<Command>> commands_;
  std::vector<uint8_t> feed_;
  std::vector<Report> reports_;
};
