// Who may watch which mount, and the server's certificate.
#pragma once

#include <gst/rtsp-server/rtsp-server.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace framebus {

// Fields as in contract.ts.
struct RtspUser {
  std::string name;
  std::string password;
  // Paths without the "/" in front, each with all that is below it; "*" is all.
  std::vector<std::string> mounts;
};

struct RtspTls {
  std::string certificate_pem;  // The server's own first, then its chain.
  std::string key_pem;
};

// Immutable. Without users everybody may watch everything.
class RtspAccess {
 public:
  // Throws Error RTSP_TLS.
  RtspAccess(const std::vector<RtspUser>& users, const std::optional<RtspTls>& tls);

  // Makes a server's connections TLS, if there is a certificate, and asks for
  // users, if there are any.
  void protect(GstRTSPServer* server) const;
  // Lets a factory be used by everybody whom check() lets pass.
  void open(GstRTSPMediaFactory* factory) const;
  // OK, UNAUTHORIZED (no credentials, or wrong ones) or FORBIDDEN, for the
  // request of a context and a mount such as "/gate".
  GstRTSPStatusCode check(GstRTSPContext* context, const std::string& mount) const;
  // Completes an answer of that context: UNAUTHORIZED names the ways to log in.
  void complete(GstRTSPContext* context, GstRTSPMessage* answer) const;

 private:
  struct Unref {
    void operator()(GstRTSPAuth* auth) const { g_object_unref(auth); }
  };

  void add(const RtspUser& user);
  void set_certificate(const RtspTls& tls);

  std::unique_ptr<GstRTSPAuth, Unref> auth_;                // Null: open to all, without TLS.
  std::map<std::string, std::vector<std::string>> mounts_;  // By user.
};

}  // namespace framebus
