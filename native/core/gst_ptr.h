// Owners of GStreamer's counted objects, and scoped maps.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <memory>
#include <mutex>
#include <utility>

namespace framebus {

namespace detail {
struct GstUnref {
  void operator()(GstObject* object) const { gst_object_unref(object); }
  void operator()(GstElement* element) const { gst_object_unref(element); }
  void operator()(GstElementFactory* factory) const { gst_object_unref(factory); }
  void operator()(GstPad* pad) const { gst_object_unref(pad); }
  void operator()(GstBus* bus) const { gst_object_unref(bus); }
  void operator()(GstBufferPool* pool) const { gst_object_unref(pool); }
  void operator()(GstCaps* caps) const { gst_caps_unref(caps); }
  void operator()(GstBuffer* buffer) const { gst_buffer_unref(buffer); }
  void operator()(GstSample* sample) const { gst_sample_unref(sample); }
  void operator()(GstEvent* event) const { gst_event_unref(event); }
  void operator()(GstMessage* message) const { gst_message_unref(message); }
  void operator()(GError* error) const { g_error_free(error); }
  void operator()(gchar* text) const { g_free(text); }
};
}  // namespace detail

// One reference, owned.
template <class T>
using GstPtr = std::unique_ptr<T, detail::GstUnref>;

// A second reference on a borrowed or owned object.
inline GstPtr<GstBuffer> share(GstBuffer* buffer) {
  return GstPtr<GstBuffer>(gst_buffer_ref(buffer));
}
inline GstPtr<GstCaps> share(GstCaps* caps) { return GstPtr<GstCaps>(gst_caps_ref(caps)); }
inline GstPtr<GstElement> share(GstElement* element) {
  gst_object_ref(element);
  return GstPtr<GstElement>(element);
}

// A buffer's bytes, to read. Empty when mapping failed.
class BufferBytes {
 public:
  explicit BufferBytes(GstBuffer* buffer) : buffer_(buffer) {
    mapped_ = gst_buffer_map(buffer_, &info_, GST_MAP_READ) != FALSE;
  }
  ~BufferBytes() {
    if (mapped_) gst_buffer_unmap(buffer_, &info_);
  }
  BufferBytes(const BufferBytes&) = delete;
  BufferBytes& operator=(const BufferBytes&) = delete;

  const guint8* data() const { return mapped_ ? info_.data : nullptr; }
  gsize size() const { return mapped_ ? info_.size : 0; }

 private:
  GstBuffer* buffer_;  // Borrowed for the life of this object.
  GstMapInfo info_{};
  bool mapped_ = false;
};

// Initialises GStreamer once per process.
inline void init_gstreamer() {
  static std::once_flag once;
  std::call_once(once, [] { gst_init(nullptr, nullptr); });
}

}  // namespace framebus
