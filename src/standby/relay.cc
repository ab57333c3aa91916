// Hands a call to a process that stands by for it (stand-by.ts), in place of starting one:
//
//   relay SOCKET BUNDLE LAUNCHER ENTRY [ARGUMENT...]
//   relay BUNDLE       prints the circumstances that a call of the bundle would have here
//
// Where nobody stands by, or whoever does refuses, LAUNCHER is run with GFS2_SR_COLD=1, and
// starts one. It is run with GFS2_SR_ENDED=STATUS where the process ended without an answer.
//
// Over the socket come `t` (it listens), then `r` (it refuses) or an exit code; the request
// goes the other way, with the standard streams: the circumstances, the priority and the
// entry with its arguments, each with a zero byte at its end.
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

#include <algorithm>
#include <initializer_list>
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

bool StartsWith(const std::string& text, std::initializer_list<const char*> beginnings) {
  for (const char* beginning : beginnings) {
    if (text.compare(0, strlen(beginning), beginning) == 0) return true;
  }
  return false;
}

// Variables that the plugin, or what it uses, reads; those of one call alone are not among them.
bool IsRelevant(const std::string& variable) {
  return StartsWith(variable, {"PATH=", "HOME=", "TZ=", "DBUS_SYSTEM_BUS_ADDRESS=", "GFS2_SR_"}) &&
         !StartsWith(variable, {"GFS2_SR_LAUNCHER=", "GFS2_SR_COLD=", "GFS2_SR_ENDED="});
}

std::string ReadFile(const char* path) {
  std::string text;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char part[4096];
  for (ssize_t count = 0; (count = read(fd, part, sizeof part)) > 0;) text.append(part, static_cast<size_t>(count));
  close(fd);
  return text;
}

std::string Identity(const char* path) {
  struct stat status = {};
  if (stat(path, &status) != 0) return "none";
  return std::to_string(status.st_dev) + ':' + std::to_string(status.st_ino);
}

// All that a call finds when it starts: what it sees, what it may do, and which version of the plugin.
std::string Circumstances(const char* bundle) {
  struct stat status = {};
  stat(bundle, &status);
  const mode_t mask = umask(0);
  umask(mask);
  std::string text = Identity(bundle) + ' ' + std::to_string(status.st_size) + ' ' +
                     std::to_string(status.st_mtim.tv_sec) + '.' + std::to_string(status.st_mtim.tv_nsec) +
                     "\numask " + std::to_string(mask) + '\n';
  for (const char* place : {"root", "ns/mnt", "ns/net", "ns/pid", "ns/ipc", "ns/uts", "ns/user"}) {
    text += std::string(place) + ' ' + Identity((std::string("/proc/self/") + place).c_str()) + '\n';
  }
  text += ReadFile("/proc/self/cgroup");
  for (int resource = 0; resource < static_cast<int>(RLIM_NLIMITS); ++resource) {
    rlimit limit = {};
    getrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
    // Node takes as many open files as it may have.
    const rlim_t now = resource == RLIMIT_NOFILE ? limit.rlim_max : limit.rlim_cur;
    text += std::to_string(now) + '/' + std::to_string(limit.rlim_max) + ' ';
  }
  text += '\n';
  const std::string rights = ReadFile("/proc/self/status");
  for (std::string::size_type at = 0, end = 0; (end = rights.find('\n', at)) != std::string::npos; at = end + 1) {
    const std::string line = rights.substr(at, end - at);
    if (StartsWith(line, {"Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp"})) text += line + '\n';
  }
  std::vector<std::string> variables;
  for (char** each = environ; *each != nullptr; ++each) {
    if (IsRelevant(*each)) variables.emplace_back(*each);
  }
  std::sort(variables.begin(), variables.end());
  for (const std::string& variable : variables) text += variable + '\n';
  return text;
}

void Add(std::string& request, const std::string& field) { request.append(field).push_back('\0'); }

std::string Request(const char* bundle, char** arguments) {
  std::string request;
  Add(request, Circumstances(bundle));
  Add(request, std::to_string(getpriority(PRIO_PROCESS, 0)));
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
  if (count == 2) return fputs(Circumstances(arguments[1]).c_str(), stdout) < 0 ? 1 : 0;
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
