// Hands a call to a process that stands by for it (stand-by.ts), in place of starting one:
//
//   relay SOCKET BUNDLE LAUNCHER ENTRY [ARGUMENT...]
//
// Where nobody stands by, or whoever does refuses, LAUNCHER is run with GFS2_SR_COLD=1, and
// starts one. It is run with GFS2_SR_ENDED=STATUS where the process ended without an answer.
//
// Over the socket come `t` (it listens), then `r` (it refuses) or an exit code; the request
// goes the other way, with the standard streams: fields that end with a zero byte.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <vector>

extern char** environ;

namespace {

// Milliseconds for whoever stands by to say that it listens: one that does not at once is busy.
constexpr int kPatience = 50;
constexpr int kStreams = 3;

volatile sig_atomic_t told = 0;
volatile pid_t peer = 0;

void Forward(int number) {
  told = number;
  if (peer > 0) kill(peer, SIGTERM);
}

// Runs the launcher in this process's place, with the words behind the entry's name.
void Run(const char* launcher, char** entry, const char* name, const char* value) {
  setenv(name, value, 1);
  std::vector<char*> words = {const_cast<char*>("sh"), const_cast<char*>(launcher)};
  do words.push_back(*++entry);
  while (*entry != nullptr);
  execv("/bin/sh", words.data());
  _exit(127);
}

bool IsRelevant(const char* variable) {
  for (const char* prefix : {"PATH=", "HOME=", "TZ=", "DBUS_SYSTEM_BUS_ADDRESS=", "GFS2_SR_"}) {
    if (strncmp(variable, prefix, strlen(prefix)) == 0) return true;
  }
  return false;
}

void Add(std::string& request, const std::string& field) { request.append(field).push_back('\0'); }

// What the peer compares with its own: the bundle that it has loaded, and the circumstances.
std::string Request(const char* bundle, char** arguments) {
  std::string request;
  struct stat status = {};
  stat(bundle, &status);
  char identity[128];
  snprintf(identity, sizeof identity, "%lu:%lu:%ld:%ld.%09ld", static_cast<unsigned long>(status.st_dev),
           static_cast<unsigned long>(status.st_ino), static_cast<long>(status.st_size),
           static_cast<long>(status.st_mtim.tv_sec), status.st_mtim.tv_nsec);
  Add(request, identity);
  const mode_t mask = umask(0);
  umask(mask);
  Add(request, std::to_string(mask));
  errno = 0;
  Add(request, std::to_string(getpriority(PRIO_PROCESS, 0)));
  std::string::size_type count = 0;
  for (char** each = environ; *each != nullptr; ++each) count += IsRelevant(*each) ? 1 : 0;
  Add(request, std::to_string(count));
  for (char** each = environ; *each != nullptr; ++each) {
    if (IsRelevant(*each)) Add(request, *each);
  }
  for (char** each = arguments; *each != nullptr; ++each) Add(request, *each);
  return request;
}

bool Send(int connection, const std::string& request) {
  iovec data = {const_cast<char*>(request.data()), request.size()};
  int streams[kStreams];
  for (int stream = 0; stream < kStreams; ++stream) {
    const bool open = fcntl(stream, F_GETFD) >= 0;
    streams[stream] = open ? stream : ::open("/dev/null", O_RDWR);
  }
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof streams)] = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof streams);
  memcpy(CMSG_DATA(header), streams, sizeof streams);
  return sendmsg(connection, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(request.size());
}

// One byte; -1 for none within the time, or at the end of the connection.
int Receive(int connection, int milliseconds) {
  pollfd waiting = {connection, POLLIN, 0};
  for (;;) {
    const int ready = poll(&waiting, 1, milliseconds);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return -1;
    unsigned char byte = 0;
    const ssize_t count = recv(connection, &byte, 1, 0);
    if (count < 0 && errno == EINTR) continue;
    return count == 1 ? byte : -1;
  }
}

int Connect(const char* path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof address.sun_path) return -1;
  strcpy(address.sun_path, path);
  // Where one waits in the socket's queue, there is someone before us: that is no time to wait.
  const int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (connection < 0) return -1;
  if (connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return connection;
  close(connection);
  return -1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 5) return 127;
  const char* launcher = arguments[3];
  const auto ended = [&](int status) {
    Run(launcher, arguments + 4, "GFS2_SR_ENDED", std::to_string(status).c_str());
  };
  const auto cold = [&] {
    if (told != 0) ended(128 + SIGTERM);
    Run(launcher, arguments + 4, "GFS2_SR_COLD", "1");
  };

  struct sigaction action = {};
  action.sa_handler = Forward;
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaction(number, &action, nullptr);

  const int connection = Connect(arguments[1]);
  if (connection < 0 || Receive(connection, kPatience) != 't') cold();
  ucred credentials = {};
  socklen_t length = sizeof credentials;
  getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &length);
  if (credentials.uid != geteuid() || !Send(connection, Request(arguments[2], arguments + 4))) cold();
  peer = credentials.pid;
  if (told != 0) kill(peer, SIGTERM);
  const int answer = Receive(connection, -1);
  if (answer == 'r') {
    peer = 0;
    cold();
  }
  if (answer >= 0 && answer <= 2) return answer;
  ended(answer >= 0 ? answer : 128 + (told == 0 ? SIGKILL : SIGTERM));
  return 127;
}
