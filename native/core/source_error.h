// Why a source does not play: from GStreamer's messages to the project's codes.
#pragma once

#include <gst/gst.h>

#include <optional>
#include <string>

namespace framebus {

// Code: SOURCE_NOT_FOUND, SOURCE_UNREADABLE, SOURCE_UNSUPPORTED, SOURCE_UNREACHABLE,
// SOURCE_AUTH, SOURCE_BROKEN or SOURCE_STALLED. The message names the source and the cause.
struct SourceError {
  std::string code;
  std::string message;
  bool retryable = false;
};

// The URI without its credentials.
std::string redact_uri(const std::string& uri);

// file://, or a path without a scheme: something that ends and can be played again.
bool is_local_file(const std::string& uri);
// Scheme of a camera: rtsp and its kin, udp, v4l2.
bool is_camera(const std::string& uri);

// What can be said of a file before GStreamer opens it; nothing when it is all right.
std::optional<SourceError> check_file(const std::string& uri);

// `missing`: GStreamer's name for what it has no element for, or empty.
SourceError source_error(const std::string& uri, const GError& error, const std::string& debug,
                         const std::string& missing);

// A missing-plugin message's human name, for example "H.266 decoder"; empty for any other.
std::string missing_plugin(GstMessage* message);

// Whether a file that broke off with this error may still play to its end.
bool is_damage(const GError& error);

}  // namespace framebus
