#include "slot_sink.h"

#include <gst/base/gstbasesink.h>

namespace {

using framebus::FrameReceiver;

struct FramebusSlotSink {
  GstBaseSink parent;
  FrameReceiver* receiver;  // Borrowed.
  gboolean cuda;
};
struct FramebusSlotSinkClass {
  GstBaseSinkClass parent_class;
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wvolatile"
G_DEFINE_TYPE(FramebusSlotSink, framebus_slot_sink, GST_TYPE_BASE_SINK)
#pragma GCC diagnostic pop

constexpr const char* kSystemMemory = "video/x-raw, format=(string){ I420, NV12 }";
constexpr const char* kAnyMemory =
    "video/x-raw(memory:CUDAMemory), format=(string){ NV12, P010_10LE }; "
    "video/x-raw, format=(string){ I420, NV12 }";

FrameReceiver* receiver_of(GstBaseSink* sink) {
  return reinterpret_cast<FramebusSlotSink*>(sink)->receiver;
}

void framebus_slot_sink_init(FramebusSlotSink* self) {
  GstBaseSink* base = &self->parent;
  gst_base_sink_set_sync(base, FALSE);
  gst_base_sink_set_async_enabled(base, FALSE);
  gst_base_sink_set_qos_enabled(base, FALSE);
  gst_base_sink_set_last_sample_enabled(base, FALSE);  // It would keep a slot.
}

void framebus_slot_sink_class_init(FramebusSlotSinkClass* klass) {
  GstElementClass* element = &klass->parent_class.parent_class;
  GstCaps* caps = gst_caps_from_string(kAnyMemory);
  gst_element_class_add_pad_template(
      element, gst_pad_template_new("sink", GST_PAD_SINK, GST_PAD_ALWAYS, caps));
  gst_caps_unref(caps);
  gst_element_class_set_static_metadata(element, "Frame bus sink", "Sink/Video",
                                        "Publishes frames in slots of the frame bus", "framebus");
  GstBaseSinkClass* base = &klass->parent_class;
  // What converters and decoders before it choose from.
  base->get_caps = [](GstBaseSink* sink, GstCaps* filter) -> GstCaps* {
    const gboolean cuda = reinterpret_cast<FramebusSlotSink*>(sink)->cuda;
    GstCaps* all = gst_caps_from_string(cuda != FALSE ? kAnyMemory : kSystemMemory);
    if (filter == nullptr) return all;
    GstCaps* wanted = gst_caps_intersect_full(filter, all, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref(all);
    return wanted;
  };
  base->set_caps = [](GstBaseSink* sink, GstCaps* fixed) -> gboolean {
    return receiver_of(sink)->on_caps(fixed) ? TRUE : FALSE;
  };
  base->propose_allocation = [](GstBaseSink* sink, GstQuery* query) -> gboolean {
    return receiver_of(sink)->on_allocation(query) ? TRUE : FALSE;
  };
  base->render = [](GstBaseSink* sink, GstBuffer* buffer) {
    return receiver_of(sink)->on_buffer(buffer, &sink->segment);
  };
}

}  // namespace

namespace framebus {

GstElement* slot_sink_new(FrameReceiver* receiver, bool cuda) {
  auto* element = static_cast<GstElement*>(g_object_new(framebus_slot_sink_get_type(), nullptr));
  auto* sink = reinterpret_cast<FramebusSlotSink*>(element);
  sink->receiver = receiver;
  sink->cuda = cuda ? TRUE : FALSE;
  return element;
}

}  // namespace framebus
