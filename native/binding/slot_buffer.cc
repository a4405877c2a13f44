#include "slot_buffer.h"

namespace framebus::binding {

Napi::Array planes_over(Napi::Env env, const Napi::ArrayBuffer& buffer, const FrameFormat& format,
                        const PlaneLayout& layout) {
  const uint32_t count = plane_count(format.pixel_format);
  Napi::Array planes = Napi::Array::New(env, count);
  for (uint32_t p = 0; p < count; ++p) {
    const uint32_t row_bytes = plane_row_bytes(format, p);
    const uint32_t rows = plane_rows(format, p);
    const size_t bytes = size_t{layout.stride[p]} * (rows - 1) + row_bytes;
    Napi::Object plane = Napi::Object::New(env);
    plane.Set("data", Napi::Uint8Array::New(env, bytes, buffer, layout.offset[p]));
    plane.Set("stride", layout.stride[p]);
    plane.Set("width", p == 0 ? format.width : (format.width + 1) / 2);
    plane.Set("height", rows);
    planes.Set(p, plane);
  }
  return planes;
}

Napi::Array SlotBuffer::planes(const Napi::Object& owner, uint8_t* data, const FrameFormat& format,
                               const PlaneLayout& layout) {
  Napi::Env env = owner.Env();
  Napi::ArrayBuffer buffer;
  if (!buffer_.IsEmpty()) buffer = buffer_.Value();
  if (buffer.IsEmpty()) {
    buffer = Napi::ArrayBuffer::New(env, data, layout.slot_bytes);
    buffer.DefineProperty(
        Napi::PropertyDescriptor::Value(Napi::Symbol::New(env, "framebus.owner"), owner));
    buffer_ = Napi::Weak(buffer);
  }
  return planes_over(env, buffer, format, layout);
}

void SlotBuffer::detach() {
  if (buffer_.IsEmpty()) return;
  Napi::ArrayBuffer buffer = buffer_.Value();
  if (!buffer.IsEmpty() && !buffer.IsDetached()) buffer.Detach();
  buffer_.Reset();
}

}  // namespace framebus::binding
