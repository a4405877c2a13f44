#include "slot_sink.h"

#include <gst/base/gstbasesink.h>

namespace {

using framebus::FrameReceiver;

struct FramebusSlotSink {
  GstBaseSink parent;
  FrameReceiver* receiver;  // Borrowed.
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
  GstCaps* caps = gst_caps_from_string("video/x-raw, format=(string){ I420, NV12 }");
  gst_element_class_add_pad_template(
      element, gst_pad_template_new("sink", GST_PAD_SINK, GST_PAD_ALWAYS, caps));
  gst_caps_unref(caps);
  gst_element_class_set_static_metadata(element, "Frame bus sink", "Sink/Video",
                                        "Publishes frames in slots of the frame bus", "framebus");
  GstBaseSinkClass* base = &klass->parent_class;
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

GstElement* slot_sink_new(FrameReceiver* receiver) {
  auto* sink = static_cast<GstElement*>(g_object_new(framebus_slot_sink_get_type(), nullptr));
  reinterpret_cast<FramebusSlotSink*>(sink)->receiver = receiver;
  return sink;
}

}  // namespace framebus
