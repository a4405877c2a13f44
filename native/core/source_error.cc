#include "source_error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "gst_ptr.h"

namespace framebus {

namespace {

std::string scheme_of(const std::string& uri) {
  const size_t colon = uri.find("://");
  return colon == std::string::npos ? "" : uri.substr(0, colon);
}

// GStreamer's debug text ends with what the element has said, on a line of its own.
std::string detail_of(const std::string& debug) {
  const size_t line = debug.rfind('\n');
  return line == std::string::npos ? "" : debug.substr(line + 1);
}

std::string cause_of(const GError& error, const std::string& debug) {
  std::string cause = error.message != nullptr ? error.message : "unknown error";
  while (!cause.empty() && (cause.back() == '.' || cause.back() == '\n')) cause.pop_back();
  const std::string detail = detail_of(debug);
  if (!detail.empty() && detail != error.message) cause += " (" + redact_uri(detail) + ")";
  return cause;
}

SourceError resource_error(const std::string& uri, const GError& error, const std::string& cause,
                           const std::string& debug) {
  const std::string name = redact_uri(uri);
  const bool local = is_local_file(uri);
  const bool device = scheme_of(uri) == "v4l2";
  switch (error.code) {
    case GST_RESOURCE_ERROR_NOT_FOUND: {
      // A host name that does not resolve is reported as "not found", too.
      const bool absent = local || device || debug.find("404") != std::string::npos ||
                          debug.find("Not Found") != std::string::npos;
      return {absent ? "SOURCE_NOT_FOUND" : "SOURCE_UNREACHABLE", name + ": " + cause, !local};
    }
    case GST_RESOURCE_ERROR_NOT_AUTHORIZED:
      if (local || device) return {"SOURCE_UNREADABLE", name + ": " + cause, device};
      return {"SOURCE_AUTH", name + ": " + cause, true};
    case GST_RESOURCE_ERROR_OPEN_READ:
    case GST_RESOURCE_ERROR_OPEN_READ_WRITE:
    case GST_RESOURCE_ERROR_BUSY:
      return {local || device ? "SOURCE_UNREADABLE" : "SOURCE_UNREACHABLE", name + ": " + cause,
              !local};
    default:
      return {local ? "SOURCE_BROKEN" : "SOURCE_UNREACHABLE", name + ": " + cause, !local};
  }
}

SourceError stream_error(const std::string& uri, const GError& error, const std::string& cause,
                         const std::string& missing) {
  const std::string name = redact_uri(uri);
  switch (error.code) {
    case GST_STREAM_ERROR_TYPE_NOT_FOUND:
    case GST_STREAM_ERROR_WRONG_TYPE:
      return {"SOURCE_UNSUPPORTED", name + ": not a video that GStreamer knows: " + cause, false};
    case GST_STREAM_ERROR_CODEC_NOT_FOUND:
    case GST_STREAM_ERROR_NOT_IMPLEMENTED:
      return {"SOURCE_UNSUPPORTED",
              name + ": " + (missing.empty() ? cause : "missing GStreamer plugin: " + missing),
              false};
    case GST_STREAM_ERROR_DECRYPT:
    case GST_STREAM_ERROR_DECRYPT_NOKEY:
      return {"SOURCE_UNSUPPORTED", name + ": encrypted: " + cause, false};
    default:
      break;
  }
  if (is_local_file(uri)) return {"SOURCE_BROKEN", name + ": " + cause, false};
  // All that souphttpsrc says when it cannot connect is that it has stopped.
  if (error.code == GST_STREAM_ERROR_FAILED)
    return {"SOURCE_UNREACHABLE", name + ": cannot be read: " + cause, true};
  return {"SOURCE_BROKEN", name + ": " + cause, true};
}

}  // namespace

std::string redact_uri(const std::string& uri) {
  std::string text = uri;
  size_t from = 0;
  for (size_t at; (at = text.find("://", from)) != std::string::npos; from = at + 3) {
    const size_t begin = at + 3;
    const size_t end = text.find_first_of("/ \"'", begin);
    const size_t host = text.rfind('@', end == std::string::npos ? text.size() : end);
    if (host != std::string::npos && host >= begin) text.replace(begin, host - begin, "***");
  }
  return text;
}

bool is_local_file(const std::string& uri) {
  const std::string scheme = scheme_of(uri);
  return scheme.empty() || scheme == "file";
}

bool is_camera(const std::string& uri) {
  const std::string scheme = scheme_of(uri);
  return scheme.starts_with("rtsp") || scheme == "udp" || scheme == "v4l2" || scheme == "srt";
}

std::optional<SourceError> check_file(const std::string& uri) {
  std::string path = uri;
  if (!scheme_of(uri).empty()) {
    const GstPtr<gchar> decoded(g_filename_from_uri(uri.c_str(), nullptr, nullptr));
    if (decoded == nullptr)
      return SourceError{"SOURCE_NOT_FOUND", uri + ": not a valid file URI", false};
    path = decoded.get();
  }
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    const int why = errno;
    const char* code = why == EACCES ? "SOURCE_UNREADABLE" : "SOURCE_NOT_FOUND";
    return SourceError{code, path + ": " + std::strerror(why), false};
  }
  if (S_ISDIR(info.st_mode))
    return SourceError{"SOURCE_UNSUPPORTED", path + ": is a directory, not a video file", false};
  if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode))
    return SourceError{"SOURCE_UNSUPPORTED", path + ": is not a regular file", false};
  if (access(path.c_str(), R_OK) != 0)
    return SourceError{"SOURCE_UNREADABLE", path + ": " + std::strerror(errno), false};
  if (info.st_size == 0 && S_ISREG(info.st_mode))
    return SourceError{"SOURCE_UNSUPPORTED", path + ": the file is empty", false};
  return std::nullopt;
}

SourceError source_error(const std::string& uri, const GError& error, const std::string& debug,
                         const std::string& missing) {
  const std::string cause = cause_of(error, debug);
  if (error.domain == GST_RESOURCE_ERROR) return resource_error(uri, error, cause, debug);
  if (error.domain == GST_STREAM_ERROR) return stream_error(uri, error, cause, missing);
  const bool plugin = error.domain == GST_CORE_ERROR && error.code == GST_CORE_ERROR_MISSING_PLUGIN;
  if (plugin) {
    return {"SOURCE_UNSUPPORTED",
            redact_uri(uri) + ": missing GStreamer plugin: " + (missing.empty() ? cause : missing),
            false};
  }
  return {"SOURCE_BROKEN", redact_uri(uri) + ": " + cause, !is_local_file(uri)};
}

std::string missing_plugin(GstMessage* message) {
  const GstStructure* structure = gst_message_get_structure(message);
  if (structure == nullptr || gst_structure_has_name(structure, "missing-plugin") == FALSE)
    return "";
  const gchar* name = gst_structure_get_string(structure, "name");
  return name != nullptr ? name : "unknown";
}

bool is_damage(const GError& error) {
  if (error.domain == GST_RESOURCE_ERROR) return error.code == GST_RESOURCE_ERROR_READ;
  if (error.domain != GST_STREAM_ERROR) return false;
  return error.code == GST_STREAM_ERROR_DEMUX || error.code == GST_STREAM_ERROR_DECODE ||
         error.code == GST_STREAM_ERROR_FAILED || error.code == GST_STREAM_ERROR_FORMAT;
}

}  // namespace framebus
