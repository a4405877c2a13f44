// RtspServer: one media for all, answers at once, nobody harms anybody.
#include "core/rtsp_server.h"

#include <atomic>
#include <filesystem>

#include "check.h"
#include "error_code.h"
#include "output_kit.h"
#include "rtsp_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;

RtspServerOptions free_port() {
  RtspServerOptions options;
  options.port = 0;
  options.max_clients = 16;
  return options;
}

// Writes down what a server reports.
class RecordingRtspListener : public RtspListener {
 public:
  void on_dropped(const std::string&, const std::string&, RtspReaderFault) override { ++dropped; }
  void on_denied(const std::string&, const std::string&) override { ++denied; }

  std::atomic<int> dropped = 0;
  std::atomic<int> denied = 0;
};

struct Stage {
  explicit Stage(const OutputOptions& options, const RtspServerOptions& serving = free_port())
      : format(options.format),
        listener(std::make_shared<RecordingListener>()),
        output(std::make_shared<Output>(options, listener)),
        server(serving, heard) {}
  ~Stage() {
    camera.reset();
    server.close();
    output->close();
  }
  void roll() {
    camera = std::make_unique<Camera>(output, format);
    listener->wait_encoded(1);
  }

  FrameFormat format;
  std::shared_ptr<RecordingListener> listener;
  std::shared_ptr<Output> output;
  std::unique_ptr<Camera> camera;
  std::shared_ptr<RecordingRtspListener> heard = std::make_shared<RecordingRtspListener>();
  RtspServer server;
};

OutputOptions small() {
  OutputOptions options = output_options(format_of(320, 240));
  options.encode.keyframe_interval_ms = 60'000;  // So that joins depend on requests.
  return options;
}

bool eventually(const std::function<bool()>& holds) {
  for (int n = 0; n < 500; ++n) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST("a port in use is named; port 0 takes a free one") {
  RtspServerOptions options = free_port();
  const RtspServer first(options);
  CHECK(first.port() != 0);
  std::string message;
  options.port = first.port();
  CHECK(code_of([&] { RtspServer second(options); }, &message) == "RTSP_PORT_IN_USE");
  CHECK(message.find(std::to_string(first.port())) != std::string::npos);
  options = free_port();
  options.host = "203.0.113.7";
  CHECK(code_of([&] { RtspServer third(options); }) == "RTSP_BIND");
}

TEST("no mount is 404, a mount without a picture 503, both at once") {
  Stage stage(small());
  stage.server.mount("gate", stage.output);
  const int64_t asked_ns = monotonic_ns();
  Connection connection(stage.server.port());
  CHECK(connection.ask("DESCRIBE", rtsp_url(stage.server.port(), "yard")).find("404") !=
        std::string::npos);
  CHECK(connection.ask("DESCRIBE", rtsp_url(stage.server.port(), "gate")).find("503") !=
        std::string::npos);
  CHECK(monotonic_ns() - asked_ns < 2'000'000'000);
  stage.roll();
  const std::string answer = connection.ask("DESCRIBE", rtsp_url(stage.server.port(), "gate"),
                                            "Accept: application/sdp\r\n");
  CHECK(answer.find("200 OK") != std::string::npos);
  CHECK(answer.find("H264/90000") != std::string::npos);
  CHECK(answer.find("sprop-parameter-sets") != std::string::npos);
  CHECK(code_of([&] { stage.server.mount("gate", stage.output); }) == "RTSP_MOUNT");
  CHECK(code_of([&] { stage.server.mount("/gate", stage.output); }) == "RTSP_MOUNT");
}

TEST("a client plays at the source's rate, and UDP is refused") {
  Stage stage(small());
  stage.server.mount("gate", stage.output);
  stage.roll();
  Player player(rtsp_url(stage.server.port(), "gate"));
  CHECK(player.plays(5));
  std::vector<int64_t> steps_ms;
  GstClockTime last = 0;
  while (steps_ms.size() < 60) {
    const auto sample = player.next();
    CHECK(sample != nullptr);
    const GstClockTime pts = GST_BUFFER_PTS(gst_sample_get_buffer(sample.get()));
    steps_ms.push_back(static_cast<int64_t>(pts - last) / 1'000'000);
    last = pts;
  }
  // The median: a busy machine may lose some.
  std::sort(steps_ms.begin(), steps_ms.end());
  CHECK(steps_ms[30] >= 35 && steps_ms[30] <= 45);
  Connection connection(stage.server.port());
  const std::string url = rtsp_url(stage.server.port(), "gate");
  CHECK(connection.ask("DESCRIBE", url, "Accept: application/sdp\r\n").find("200") !=
        std::string::npos);
  CHECK(connection
            .ask("SETUP", url + "/stream=0", "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n")
            .find("461") != std::string::npos);
}

// Join one after the other, each soon, one encoder for all.
void joins(const std::string& transport, size_t count) {
  RtspServerOptions serving = free_port();
  serving.udp = true;
  Stage stage(small(), serving);
  stage.server.mount("gate", stage.output);
  stage.roll();
  std::vector<std::unique_ptr<Player>> players;
  std::vector<int64_t> joins_ms;
  for (size_t n = 0; n < count; ++n) {
    players.push_back(std::make_unique<Player>(rtsp_url(stage.server.port(), "gate"), transport));
    CHECK(players.back()->next() != nullptr);
    joins_ms.push_back(players.back()->age_ms());
    std::this_thread::sleep_for(std::chrono::milliseconds(170));
  }
  std::sort(joins_ms.begin(), joins_ms.end());
  std::printf("# joins over %s: median %lld ms, slowest %lld ms\n", transport.c_str(),
              static_cast<long long>(joins_ms[count / 2]),
              static_cast<long long>(joins_ms[count - 1]));
  CHECK(stage.server.clients() == count);
  for (const auto& player : players) CHECK(player->plays(10));
  const auto encoded = stage.listener->encoded();
  for (size_t n = 1; n < encoded.size(); ++n) CHECK(encoded[n].seq > encoded[n - 1].seq);
  players.clear();
  CHECK(eventually([&] { return stage.server.clients() == 0; }));
  CHECK(stage.heard->dropped == 0);
}

TEST("ten join by TCP") { joins("tcp", 10); }

TEST("five join by UDP, where it is offered") { joins("udp", 5); }

TEST("TCP and UDP players have the same media") {
  RtspServerOptions serving = free_port();
  serving.udp = true;
  Stage stage(small(), serving);
  stage.server.mount("gate", stage.output);
  stage.roll();
  const std::string url = rtsp_url(stage.server.port(), "gate");
  for (int round = 0; round < 2; ++round) {
    Player udp(url, "udp");
    CHECK(udp.plays(3));
    Player tcp(url);
    CHECK(tcp.plays(10));
    CHECK(udp.plays(10));
  }
}

TEST("a user has his mounts, and a stranger nothing") {
  RtspServerOptions serving = free_port();
  serving.users = {{.name = "joe", .password = "secret", .mounts = {"yard"}}};
  Stage stage(small(), serving);
  stage.server.mount("gate", stage.output);
  stage.server.mount("yard", stage.output);
  stage.roll();
  const auto status = [&](const std::string& path, const std::string& headers) {
    Connection connection(stage.server.port());
    const std::string url = rtsp_url(stage.server.port(), path);
    return connection.ask("DESCRIBE", url, "Accept: application/sdp\r\n" + headers).substr(9, 3);
  };
  const std::string joe = "Authorization: Basic am9lOnNlY3JldA==\r\n";
  CHECK(status("yard", joe) == "200");
  CHECK(status("gate", joe) == "403");
  CHECK(status("yard", "") == "401");
  CHECK(status("nothing", "") == "401");
  // What is below his mounts is his, and nothing that only begins alike.
  stage.server.mount("yard/clean", stage.output);
  stage.server.mount("yardstick", stage.output);
  stage.server.mount("gate/yard", stage.output);
  CHECK(status("yard/clean", joe) == "200");
  CHECK(status("yardstick", joe) == "403");
  CHECK(status("gate/yard", joe) == "403");
  CHECK(stage.heard->denied == 3);
  CHECK(status("yard", "Authorization: Basic am9lOndyb25n\r\n") == "401");
  CHECK(stage.heard->denied == 4);
}

TEST("a certificate that is none is refused") {
  RtspServerOptions serving = free_port();
  serving.tls = RtspTls{.certificate_pem = "no", .key_pem = "no"};
  CHECK(code_of([&] { RtspServer server(serving); }) == "RTSP_TLS");
}

TEST("a client that stops reading harms nobody, alone or among others") {
  OutputOptions options = output_options(format_of(640, 480));
  options.encode.bitrate_kbps = 8000;
  Stage stage(options);
  stage.server.mount("gate", stage.output);
  stage.roll();
  const std::string url = rtsp_url(stage.server.port(), "gate");
  Connection stopped(stage.server.port(), 4096);
  CHECK(stopped.play_and_stop(url));
  // Alone: the media's queue runs full and the output goes on.
  const size_t before = stage.listener->encoded().size();
  CHECK(stage.listener->wait_encoded(before + 75));
  // Among others: they join and play.
  Player first(url);
  CHECK(first.plays(30));
  Player second(url);
  CHECK(second.plays(30));
  CHECK(stage.listener->errors().empty());
  CHECK(stage.listener->dropped().empty());
}

TEST("mounts come and go while clients play") {
  Stage stage(small());
  stage.roll();
  const std::string url = rtsp_url(stage.server.port(), "gate");
  for (int round = 0; round < 3; ++round) {
    stage.server.mount("gate", stage.output);
    stage.server.mount("gate/again", stage.output);
    Player player(url);
    CHECK(player.plays(5));
    Player other(url + "/again");
    CHECK(other.plays(5));
    stage.server.unmount("gate");
    CHECK(other.plays(10));
    while (player.next(3000) != nullptr) CHECK(player.age_ms() < 20'000);
    stage.server.unmount("gate/again");
    CHECK(eventually([&] { return stage.server.clients() == 0; }));
  }
}

TEST("an output below a stream comes and goes alone, and beside it there is nothing") {
  Stage stage(small());
  stage.server.mount("gate", stage.output);
  stage.server.mount("gate/clean", stage.output);
  const std::string url = rtsp_url(stage.server.port(), "gate");
  Connection connection(stage.server.port());
  CHECK(connection.ask("DESCRIBE", url + "/other").find("404") != std::string::npos);
  CHECK(connection.ask("DESCRIBE", url + "/clean").find("503") != std::string::npos);
  stage.roll();
  CHECK(connection.ask("DESCRIBE", url + "/other").find("404") != std::string::npos);
  Player stream(url);
  CHECK(stream.plays(5));
  Player clean(url + "/clean");
  CHECK(clean.plays(5));
  stage.server.unmount("gate/clean");
  CHECK(eventually([&] { return stage.server.clients() == 2; }));  // The connection, the stream.
  CHECK(stream.plays(30));
  CHECK(connection.ask("DESCRIBE", url + "/clean").find("404") != std::string::npos);
}

TEST("one client too many is told so") {
  Stage stage(small());
  stage.server.mount("gate", stage.output);
  stage.roll();
  const std::string url = rtsp_url(stage.server.port(), "gate");
  std::vector<std::unique_ptr<Connection>> connections;
  for (int n = 0; n < 16; ++n) {
    connections.push_back(std::make_unique<Connection>(stage.server.port()));
    CHECK(connections.back()->ask("OPTIONS", url).find("200") != std::string::npos);
  }
  Connection refused(stage.server.port());
  CHECK(refused.ask("DESCRIBE", url).find("503") != std::string::npos);
  CHECK(refused.closed());
  CHECK(stage.server.clients() == 16);
  connections.pop_back();
  CHECK(eventually([&] { return stage.server.clients() == 15; }));
  Connection admitted(stage.server.port());
  CHECK(admitted.ask("OPTIONS", url).find("200") != std::string::npos);
}

TEST("a late joiner of a camera that stands still gets the last picture") {
  Stage stage(small());
  stage.server.mount("gate", stage.output);
  stage.roll();
  CHECK(stage.listener->wait_encoded(20));
  stage.camera.reset();
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  Player player(rtsp_url(stage.server.port(), "gate"));
  CHECK(player.next() != nullptr);
  stage.camera = std::make_unique<Camera>(stage.output, stage.format);
  CHECK(player.plays(20));
}

TEST("closing with clients is quick") {
  Stage stage(small());
  stage.server.mount("gate", stage.output);
  stage.roll();
  Player player(rtsp_url(stage.server.port(), "gate"));
  CHECK(player.plays(5));
  Connection stopped(stage.server.port(), 4096);
  CHECK(stopped.play_and_stop(rtsp_url(stage.server.port(), "gate")));
  const int64_t asked_ns = monotonic_ns();
  stage.server.close();
  std::printf("# closed in %lld ms\n",
              static_cast<long long>((monotonic_ns() - asked_ns) / 1'000'000));
  CHECK(monotonic_ns() - asked_ns < 1'500'000'000);
  CHECK(stopped.closed());
  const Connection late(stage.server.port());
  CHECK(!late.connected());
}

TEST("the output may close before the server") {
  Stage stage(small());
  stage.server.mount("gate", stage.output);
  stage.roll();
  Player player(rtsp_url(stage.server.port(), "gate"));
  CHECK(player.plays(5));
  stage.camera.reset();
  stage.output->close();
  while (player.next(3000) != nullptr) CHECK(player.age_ms() < 20'000);
  Connection connection(stage.server.port());
  CHECK(connection.ask("DESCRIBE", rtsp_url(stage.server.port(), "gate")).find("503") !=
        std::string::npos);
}

size_t entries(const char* directory) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

TEST("servers and clients come and go without a trace") {
  const auto round = [] {
    Stage stage(small());
    stage.server.mount("gate", stage.output);
    stage.roll();
    Player player(rtsp_url(stage.server.port(), "gate"));
    CHECK(player.plays(2));
  };
  for (int n = 0; n < 3; ++n) round();
  const size_t files = entries("/proc/self/fd");
  const size_t threads = entries("/proc/self/task");
  for (int n = 0; n < 30; ++n) round();
  std::printf("# files %zu -> %zu, threads %zu -> %zu\n", files, entries("/proc/self/fd"), threads,
              entries("/proc/self/task"));
  CHECK(entries("/proc/self/fd") <= files + 2);
  CHECK(entries("/proc/self/task") <= threads + 2);
}

}  // namespace

int main() { return framebus::test::run_all(); }
