#include "rtsp_access.h"

#include <algorithm>

#include "error.h"
#include "gst_ptr.h"

namespace framebus {
namespace {

// The one role of the library's that all users have; check() does the rest.
constexpr const char* kRole = "viewer";
constexpr const char* kUserField = "framebus-user";

struct TokenUnref {
  void operator()(GstRTSPToken* token) const { gst_rtsp_token_unref(token); }
};
using TokenPtr = std::unique_ptr<GstRTSPToken, TokenUnref>;

TokenPtr token_of(const std::string& user) {
  return TokenPtr(gst_rtsp_token_new(GST_RTSP_TOKEN_MEDIA_FACTORY_ROLE, G_TYPE_STRING, kRole,
                                     kUserField, G_TYPE_STRING, user.c_str(), nullptr));
}

}  // namespace

RtspAccess::RtspAccess(const std::vector<RtspUser>& users, const std::optional<RtspTls>& tls) {
  if (users.empty() && !tls) return;
  auth_.reset(gst_rtsp_auth_new());
  gst_rtsp_auth_set_realm(auth_.get(), "framebus");
  gst_rtsp_auth_set_supported_methods(
      auth_.get(), static_cast<GstRTSPAuthMethod>(GST_RTSP_AUTH_BASIC | GST_RTSP_AUTH_DIGEST));
  if (tls) set_certificate(*tls);
  for (const RtspUser& user : users) add(user);
  if (users.empty()) gst_rtsp_auth_set_default_token(auth_.get(), token_of("").get());
}

void RtspAccess::add(const RtspUser& user) {
  const TokenPtr token = token_of(user.name);
  const GstPtr<gchar> basic(gst_rtsp_auth_make_basic(user.name.c_str(), user.password.c_str()));
  gst_rtsp_auth_add_basic(auth_.get(), basic.get(), token.get());
  gst_rtsp_auth_add_digest(auth_.get(), user.name.c_str(), user.password.c_str(), token.get());
  mounts_[user.name] = user.mounts;
}

void RtspAccess::set_certificate(const RtspTls& tls) {
  const std::string pem = tls.certificate_pem + "\n" + tls.key_pem;
  GError* failure = nullptr;
  GTlsCertificate* certificate =
      g_tls_certificate_new_from_pem(pem.data(), static_cast<gssize>(pem.size()), &failure);
  const GstPtr<GError> error(failure);
  if (certificate == nullptr) {
    throw Error("RTSP_TLS",
                std::string("RTSP server: the certificate and its key are of no use: ") +
                    (error != nullptr ? error->message : "unknown cause"));
  }
  gst_rtsp_auth_set_tls_certificate(auth_.get(), certificate);
  g_object_unref(certificate);
}

void RtspAccess::protect(GstRTSPServer* server) const {
  if (auth_ != nullptr) gst_rtsp_server_set_auth(server, auth_.get());
}

void RtspAccess::open(GstRTSPMediaFactory* factory) const {
  if (auth_ == nullptr) return;
  gst_rtsp_media_factory_add_role(factory, kRole, GST_RTSP_PERM_MEDIA_FACTORY_ACCESS,
                                  G_TYPE_BOOLEAN, TRUE, GST_RTSP_PERM_MEDIA_FACTORY_CONSTRUCT,
                                  G_TYPE_BOOLEAN, TRUE, nullptr);
}

GstRTSPStatusCode RtspAccess::check(GstRTSPContext* context, const std::string& mount) const {
  if (mounts_.empty()) return GST_RTSP_STS_OK;
  // Sets the context's token, for the library's own checks too.
  GST_RTSP_AUTH_GET_CLASS(auth_.get())->authenticate(auth_.get(), context);
  const gchar* user =
      context->token != nullptr ? gst_rtsp_token_get_string(context->token, kUserField) : nullptr;
  const auto found = user != nullptr ? mounts_.find(user) : mounts_.end();
  if (found == mounts_.end()) return GST_RTSP_STS_UNAUTHORIZED;
  const auto covers = [&mount](const std::string& given) {
    return given == "*" || "/" + given == mount || mount.starts_with("/" + given + "/");
  };
  const bool allowed = std::any_of(found->second.begin(), found->second.end(), covers);
  return allowed ? GST_RTSP_STS_OK : GST_RTSP_STS_FORBIDDEN;
}

void RtspAccess::complete(GstRTSPContext* context, GstRTSPMessage* answer) const {
  if (mounts_.empty() || answer->type != GST_RTSP_MESSAGE_RESPONSE ||
      answer->type_data.response.code != GST_RTSP_STS_UNAUTHORIZED) {
    return;
  }
  gchar* there = nullptr;
  if (gst_rtsp_message_get_header(answer, GST_RTSP_HDR_WWW_AUTHENTICATE, &there, 0) == GST_RTSP_OK)
    return;
  if (context->response != answer) return;
  GST_RTSP_AUTH_GET_CLASS(auth_.get())->generate_authenticate_header(auth_.get(), context);
}

}  // namespace framebus
