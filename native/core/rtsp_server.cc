#include "rtsp_server.h"

#include <algorithm>
#include <utility>

#include "error.h"
#include "gst_ptr.h"
#include "rtsp_media.h"

namespace framebus {
namespace {

constexpr std::chrono::milliseconds kCloseDeadline{2000};
// A refused client has that long to read its 503.
constexpr guint kRefusedSeconds = 2;
constexpr const char* kRefusedKey = "framebus-refused";
constexpr const char* kPathKey = "framebus-path";

bool is_path(const std::string& path) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '/';
  };
  return !path.empty() && path.front() != '/' && path.back() != '/' &&
         std::all_of(path.begin(), path.end(), allowed);
}

// Whether a client has a session on the media at a path.
bool watches(GstRTSPClient* client, const std::string& path) {
  bool found = false;
  std::pair<const std::string*, bool*> search{&path, &found};
  GList* none = gst_rtsp_client_session_filter(
      client,
      [](GstRTSPClient*, GstRTSPSession* session, gpointer given) {
        const auto* asked = static_cast<std::pair<const std::string*, bool*>*>(given);
        gint matched = 0;
        // A media further up matches as well: the stream's own, where an output of it is meant.
        const bool there =
            gst_rtsp_session_get_media(session, asked->first->c_str(), &matched) != nullptr;
        if (there && static_cast<size_t>(matched) == asked->first->size()) *asked->second = true;
        return GST_RTSP_FILTER_KEEP;
      },
      &search);
  g_list_free(none);
  return found;
}

GstRTSPLowerTrans transports_of(const RtspServerOptions& options) {
  const int tcp = options.tcp ? GST_RTSP_LOWER_TRANS_TCP : 0;
  const int udp = options.udp ? GST_RTSP_LOWER_TRANS_UDP : 0;
  return static_cast<GstRTSPLowerTrans>(tcp | udp);
}

std::string peer_of(GstRTSPClient* client) {
  GstRTSPConnection* connection = gst_rtsp_client_get_connection(client);
  const gchar* ip = connection != nullptr ? gst_rtsp_connection_get_ip(connection) : nullptr;
  return ip != nullptr ? ip : "";
}

}  // namespace

RtspServer::RtspServer(const RtspServerOptions& options, std::shared_ptr<RtspListener> listener)
    : max_clients_(options.max_clients),
      transports_(transports_of(options)),
      session_timeout_s_(std::max(1U, options.session_timeout_ms / 1000)),
      access_((init_gstreamer(), options.users), options.tls),
      listener_(std::move(listener)) {
  context_ = g_main_context_new();
  loop_ = g_main_loop_new(context_, FALSE);
  server_ = gst_rtsp_server_new();
  try {
    bind(options);
  } catch (const Error&) {
    g_object_unref(server_);
    g_main_loop_unref(loop_);
    g_main_context_unref(context_);
    throw;
  }
  access_.protect(server_);
  // Clients are served on this server's thread, not on one of the pool's.
  GstRTSPThreadPool* threads = gst_rtsp_server_get_thread_pool(server_);
  gst_rtsp_thread_pool_set_max_threads(threads, 0);
  g_object_unref(threads);
  g_signal_connect(server_, "client-connected",
                   G_CALLBACK(+[](GstRTSPServer*, GstRTSPClient* client, gpointer self) {
                     static_cast<RtspServer*>(self)->on_client(client);
                   }),
                   this);
  g_source_attach(listening_, context_);

  looking_ = g_timeout_source_new(kReaderLookMs);
  g_source_set_callback(
      looking_,
      [](gpointer self) -> gboolean {
        static_cast<RtspServer*>(self)->look_after_clients();
        return G_SOURCE_CONTINUE;
      },
      this, nullptr);
  g_source_attach(looking_, context_);
  thread_ = std::jthread([this] { run(); });
}

RtspServer::~RtspServer() {
  close();
  g_main_loop_unref(loop_);
  g_main_context_unref(context_);
}

void RtspServer::bind(const RtspServerOptions& options) {
  gst_rtsp_server_set_address(server_, options.host.c_str());
  gst_rtsp_server_set_service(server_, std::to_string(options.port).c_str());
  GError* failure = nullptr;
  listening_ = gst_rtsp_server_create_source(server_, nullptr, &failure);
  const GstPtr<GError> error(failure);
  if (listening_ == nullptr) {
    const std::string where = options.host + ":" + std::to_string(options.port);
    if (error != nullptr && g_error_matches(error.get(), G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE)) {
      throw Error("RTSP_PORT_IN_USE", "RTSP server: " + where +
                                          " is in use by another process; free the port or "
                                          "choose another one");
    }
    throw Error("RTSP_BIND", "RTSP server: cannot listen on " + where + ": " +
                                 (error != nullptr ? error->message : "unknown cause"));
  }
  port_ = static_cast<uint16_t>(gst_rtsp_server_get_bound_port(server_));
}

void RtspServer::run() {
  g_main_context_push_thread_default(context_);
  g_main_loop_run(loop_);
  g_main_context_pop_thread_default(context_);
}

// Not g_main_context_invoke: before the loop runs, that would work on the
// caller's thread.
void RtspServer::invoke(std::function<void()> work) {
  using Held = std::unique_ptr<std::function<void()>>;
  auto owned = std::make_unique<std::function<void()>>(std::move(work));
  GSource* source = g_idle_source_new();
  g_source_set_priority(source, G_PRIORITY_DEFAULT);
  g_source_set_callback(
      source,
      [](gpointer given) -> gboolean {
        (*static_cast<std::function<void()>*>(given))();
        return G_SOURCE_REMOVE;
      },
      owned.release(),
      [](gpointer given) { const Held done(static_cast<std::function<void()>*>(given)); });
  g_source_attach(source, context_);
  g_source_unref(source);
}

void RtspServer::mount(const std::string& path, std::shared_ptr<Output> output) {
  if (!is_path(path)) {
    throw Error("RTSP_MOUNT", "RTSP server: \"" + path +
                                  "\" is no path; use letters, digits, _ - . and / inside");
  }
  const std::string at = "/" + path;
  const std::lock_guard lock(mutex_);
  if (closed_) throw Error("RTSP_MOUNT", "RTSP server: cannot mount " + at + ": it is closed");
  if (!mounts_.emplace(at, output).second)
    throw Error("RTSP_MOUNT", "RTSP server: " + at + " is mounted already; unmount it first");
  GstRTSPMountPoints* points = gst_rtsp_server_get_mount_points(server_);
  GstRTSPMediaFactory* factory = make_media_factory(std::move(output), medias_, transports_);
  access_.open(factory);
  gst_rtsp_mount_points_add_factory(points, at.c_str(), factory);
  g_object_unref(points);
}

void RtspServer::unmount(const std::string& path) {
  const std::string at = "/" + path;
  std::shared_ptr<Output> dropped;  // Outside the lock.
  const std::lock_guard lock(mutex_);
  const auto found = mounts_.find(at);
  if (found == mounts_.end()) return;
  dropped = std::move(found->second);
  mounts_.erase(found);
  GstRTSPMountPoints* points = gst_rtsp_server_get_mount_points(server_);
  gst_rtsp_mount_points_remove_factory(points, at.c_str());
  g_object_unref(points);
  if (!closed_) invoke([this, at] { disconnect_watchers(at); });
}

std::optional<std::pair<std::string, std::shared_ptr<Output>>> RtspServer::mount_at(
    const std::string& path) const {
  const std::lock_guard lock(mutex_);
  std::string at = path;
  while (!at.empty() && at.front() == '/') {
    const auto found = mounts_.find(at);
    if (found != mounts_.end()) return *found;
    at.resize(at.find_last_of('/'));  // SETUP names a stream below the mount.
  }
  return std::nullopt;
}

void RtspServer::disconnect_watchers(const std::string& path) {
  GList* none = gst_rtsp_server_client_filter(
      server_,
      [](GstRTSPServer*, GstRTSPClient* client, gpointer at) {
        return watches(client, *static_cast<const std::string*>(at)) ? GST_RTSP_FILTER_REMOVE
                                                                     : GST_RTSP_FILTER_KEEP;
      },
      const_cast<std::string*>(&path));
  g_list_free(none);
}

void RtspServer::disconnect_all() {
  g_source_destroy(listening_);
  g_source_destroy(looking_);
  g_list_free(gst_rtsp_server_client_filter(
      server_, [](GstRTSPServer*, GstRTSPClient*, gpointer) { return GST_RTSP_FILTER_REMOVE; },
      nullptr));
  GstRTSPSessionPool* sessions = gst_rtsp_server_get_session_pool(server_);
  g_list_free(gst_rtsp_session_pool_filter(
      sessions,
      [](GstRTSPSessionPool*, GstRTSPSession*, gpointer) { return GST_RTSP_FILTER_REMOVE; },
      nullptr));
  g_object_unref(sessions);
}

// Drops clients that do not read, and forgets sessions without a client.
void RtspServer::look_after_clients() {
  g_list_free(gst_rtsp_server_client_filter(
      server_,
      [](GstRTSPServer*, GstRTSPClient* client, gpointer self) {
        return static_cast<RtspServer*>(self)->look_at(client);
      },
      this));
  GstRTSPSessionPool* sessions = gst_rtsp_server_get_session_pool(server_);
  gst_rtsp_session_pool_cleanup(sessions);
  g_object_unref(sessions);
}

GstRTSPFilterResult RtspServer::look_at(GstRTSPClient* client) const {
  const std::optional<RtspReaderFault> fault = reader_fault(client);
  if (!fault) return GST_RTSP_FILTER_KEEP;
  const auto* path = static_cast<const gchar*>(g_object_get_data(G_OBJECT(client), kPathKey));
  if (listener_ != nullptr)
    listener_->on_dropped(peer_of(client), path != nullptr ? path : "", *fault);
  return GST_RTSP_FILTER_REMOVE;
}

void RtspServer::on_client(GstRTSPClient* client) {
  connections_->born();
  if (clients_ >= max_clients_) {
    g_object_set_data(G_OBJECT(client), kRefusedKey, client);
    GSource* later = g_timeout_source_new_seconds(kRefusedSeconds);
    g_source_set_callback(
        later,
        [](gpointer refused) -> gboolean {
          gst_rtsp_client_close(GST_RTSP_CLIENT(refused));
          return G_SOURCE_REMOVE;
        },
        g_object_ref(client), g_object_unref);
    g_source_attach(later, context_);
    g_source_unref(later);
  } else {
    ++clients_;
  }
  g_signal_connect(client, "closed", G_CALLBACK(+[](GstRTSPClient* closed, gpointer self) {
                     static_cast<RtspServer*>(self)->on_client_closed(closed);
                   }),
                   this);
  // Not pre-options-request: gst-rtsp-server 1.22 frees a stack object when that refuses.
  for (const char* request : {"pre-describe-request", "pre-setup-request"}) {
    g_signal_connect(client, request,
                     G_CALLBACK(+[](GstRTSPClient* asking, GstRTSPContext* context, gpointer self) {
                       return static_cast<RtspServer*>(self)->admit(asking, context);
                     }),
                     this);
  }
  g_signal_connect(client, "play-request",
                   G_CALLBACK(+[](GstRTSPClient* playing, GstRTSPContext* context, gpointer self) {
                     static_cast<RtspServer*>(self)->on_play(playing, context);
                   }),
                   this);
  g_signal_connect(client, "new-session",
                   G_CALLBACK(+[](GstRTSPClient*, GstRTSPSession* session, gpointer self) {
                     gst_rtsp_session_set_timeout(
                         session, static_cast<RtspServer*>(self)->session_timeout_s_);
                   }),
                   this);
  g_signal_connect(
      client, "send-message",
      G_CALLBACK(+[](GstRTSPClient*, GstRTSPContext* context, gpointer answer, gpointer self) {
        static_cast<RtspServer*>(self)->access_.complete(context,
                                                         static_cast<GstRTSPMessage*>(answer));
      }),
      this);
}

void RtspServer::on_client_closed(GstRTSPClient* client) {
  if (g_object_get_data(G_OBJECT(client), kRefusedKey) == nullptr) --clients_;
  connections_->gone();
}

void RtspServer::on_play(GstRTSPClient* client, const GstRTSPContext* context) const {
  if (context->uri != nullptr)
    g_object_set_data_full(G_OBJECT(client), kPathKey, g_strdup(context->uri->abspath), g_free);
  if (context->media != nullptr) play_media(context->media);
}

// 503 for one client too many, and for a mount that has no picture yet: an
// answer at once, where the library would wait for 20 s. Who may not watch
// learns nothing of what there is.
GstRTSPStatusCode RtspServer::admit(GstRTSPClient* client, GstRTSPContext* context) const {
  if (g_object_get_data(G_OBJECT(client), kRefusedKey) != nullptr)
    return GST_RTSP_STS_SERVICE_UNAVAILABLE;
  if (context->uri == nullptr || context->uri->abspath == nullptr) return GST_RTSP_STS_NOT_FOUND;
  const std::string path = context->uri->abspath;
  const auto mount = mount_at(path);
  const GstRTSPStatusCode access = access_.check(context, mount ? mount->first : path);
  if (access != GST_RTSP_STS_OK) {
    gchar* given = nullptr;
    // Every player asks once without credentials.
    const bool tried = gst_rtsp_message_get_header(context->request, GST_RTSP_HDR_AUTHORIZATION,
                                                   &given, 0) == GST_RTSP_OK;
    if (tried && listener_ != nullptr) listener_->on_denied(peer_of(client), path);
    return access;
  }
  if (!mount) return GST_RTSP_STS_NOT_FOUND;
  // Below a stream there are its outputs and nothing else.
  if (context->method == GST_RTSP_DESCRIBE &&
      path.find_first_not_of('/', mount->first.size()) != std::string::npos)
    return GST_RTSP_STS_NOT_FOUND;
  return mount->second->watchable() ? GST_RTSP_STS_OK : GST_RTSP_STS_SERVICE_UNAVAILABLE;
}

void RtspServer::close() {
  std::map<std::string, std::shared_ptr<Output>> mounts;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    mounts.swap(mounts_);
    GstRTSPMountPoints* points = gst_rtsp_server_get_mount_points(server_);
    for (const auto& [path, output] : mounts)
      gst_rtsp_mount_points_remove_factory(points, path.c_str());
    g_object_unref(points);
  }
  invoke([this] { disconnect_all(); });
  connections_->wait_empty(kCloseDeadline);
  medias_->wait_empty(kCloseDeadline);
  invoke([this] { g_main_loop_quit(loop_); });
  if (thread_.joinable()) thread_.join();
  g_source_unref(listening_);
  g_source_unref(looking_);
  g_object_unref(server_);  // The listening socket goes with it.
}

}  // namespace framebus
