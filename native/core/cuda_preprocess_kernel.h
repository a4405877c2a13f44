// preprocess() as the GPU does it: one thread, one network pixel.
//
// Compiled at run time by NVRTC, as the text that CMakeLists.txt makes of this file,
// and by the C++ compiler for the structures and for tests. So it includes nothing.
#pragma once

#ifdef __CUDACC__
#define FB_KERNEL __device__ __forceinline__
#else
#define FB_KERNEL inline
#endif

namespace framebus::kernel {

constexpr unsigned kMostFrames = 32;  // Of one launch: a kernel's arguments are 4 KiB at most.
constexpr unsigned kBlockWidth = 32;  // Threads of a block, and so network pixels.
constexpr unsigned kBlockHeight = 8;

// One frame of a batch. All pointers are device addresses, borrowed.
struct Frame {
  const unsigned char* y;
  const unsigned char* u;
  const unsigned char* v;
  float* tensor;  // This frame's part of it.
  unsigned y_stride;
  unsigned u_stride;
  unsigned v_stride;
  unsigned chroma_step;  // Bytes from one sample of U (V) to the next: I420 1, NV12 2.
  unsigned width;        // Luma samples.
  unsigned height;
  unsigned left;  // The picture in the network's input, as PicturePlacement.
  unsigned top;
  unsigned picture_width;
  unsigned picture_height;
  float across_inverse;  // 1 / (2 * picture_width).
  float down_inverse;    // 1 / (2 * picture_height).
  float luma;            // As ColorCoefficients.
  float red_v, red_0;
  float green_u, green_v, green_0;
  float blue_u, blue_0;
};

// What one launch is given, by value.
struct Batch {
  Frame frames[kMostFrames];
  unsigned width;  // Of the network's input, pixels.
  unsigned height;
  unsigned pixel_step;  // Floats from pixel to pixel.
  // R, G, B:
  unsigned channel[3];  // Floats from the tensor's start to the channel's first one.
  float mean[3];
  float scale[3];
  float pad[3];  // Network values.
};
static_assert(sizeof(Batch) <= 4096, "a kernel's arguments are 4 KiB at most");

// Two neighbouring samples, and the weight of the second.
struct Tap {
  unsigned first;
  unsigned second;
  float fraction;
};

// The position numerator / denominator among `size` samples; `inverse` is 1 / denominator.
// Whole numbers, so that it is exact without divisions and double precision, which GPUs
// are slow at: the product is less than one sample off, and the rest says where.
FB_KERNEL Tap tap_at(int numerator, int denominator, float inverse, unsigned size) {
  if (size < 2) return {0, 0, 0};
  const int last = static_cast<int>(size) - 1;
  const int end = last * denominator;
  const int inside = numerator < 0 ? 0 : (numerator > end ? end : numerator);
  int index = static_cast<int>(static_cast<float>(inside) * inverse);
  if (index * denominator > inside) --index;
  if ((index + 1) * denominator <= inside) ++index;
  if (index == last) --index;
  const int rest = inside - index * denominator;
  const auto first = static_cast<unsigned>(index);
  return {first, first + 1, static_cast<float>(rest) * inverse};
}

// Of an output pixel among `size` samples: (out + 0.5) * size / out_size - 0.5 as
// a fraction of 2 * out_size, kept within the picture.
FB_KERNEL int luma_numerator(unsigned out, unsigned out_size, unsigned size) {
  const int numerator = static_cast<int>((2 * out + 1) * size) - static_cast<int>(out_size);
  const int end = static_cast<int>(size - 1) * static_cast<int>(2 * out_size);
  return numerator < 0 ? 0 : (numerator > end ? end : numerator);
}

FB_KERNEL float mix(float a, float b, float fraction) { return a + (b - a) * fraction; }

FB_KERNEL float sample(const unsigned char* plane, unsigned stride, unsigned step, const Tap& x,
                       const Tap& y) {
  // A slot's bytes are counted in 32 bits.
  const unsigned char* const above = plane + y.first * stride;
  const unsigned char* const below = plane + y.second * stride;
  const unsigned first = x.first * step;
  const unsigned second = x.second * step;
  return mix(mix(above[first], above[second], x.fraction),
             mix(below[first], below[second], x.fraction), y.fraction);
}

FB_KERNEL float level(float value) { return value < 0 ? 0.0F : (value > 255 ? 255.0F : value); }

// Writes the three floats of one network pixel.
FB_KERNEL void preprocess_pixel(const Batch& batch, const Frame& frame, unsigned x, unsigned y) {
  float* const out =
      frame.tensor + static_cast<unsigned long long>(y * batch.width + x) * batch.pixel_step;
  const unsigned across = x - frame.left;  // Wraps around left of the picture …
  const unsigned down = y - frame.top;     // … and above it.
  if (across >= frame.picture_width || down >= frame.picture_height) {
    for (unsigned i = 0; i < 3; ++i) out[batch.channel[i]] = batch.pad[i];
    return;
  }
  const unsigned chroma_width = (frame.width + 1) / 2;
  const unsigned chroma_height = (frame.height + 1) / 2;
  const int width = static_cast<int>(2 * frame.picture_width);
  const int height = static_cast<int>(2 * frame.picture_height);
  const int column = luma_numerator(across, frame.picture_width, frame.width);
  const int row = luma_numerator(down, frame.picture_height, frame.height);
  // Chroma sample j lies on luma column 2 j, and half a row below luma row 2 j.
  const Tap luma_x = tap_at(column, width, frame.across_inverse, frame.width);
  const Tap luma_y = tap_at(row, height, frame.down_inverse, frame.height);
  const Tap chroma_x = tap_at(column, 2 * width, frame.across_inverse / 2, chroma_width);
  const Tap chroma_y = tap_at(row - height / 2, 2 * height, frame.down_inverse / 2, chroma_height);
  const float luma = sample(frame.y, frame.y_stride, 1, luma_x, luma_y) * frame.luma;
  const float u = sample(frame.u, frame.u_stride, frame.chroma_step, chroma_x, chroma_y);
  const float v = sample(frame.v, frame.v_stride, frame.chroma_step, chroma_x, chroma_y);
  const float red = level(luma + (frame.red_v * v + frame.red_0));
  const float green = level(luma + (frame.green_u * u + (frame.green_v * v + frame.green_0)));
  const float blue = level(luma + (frame.blue_u * u + frame.blue_0));
  out[batch.channel[0]] = (red - batch.mean[0]) * batch.scale[0];
  out[batch.channel[1]] = (green - batch.mean[1]) * batch.scale[1];
  out[batch.channel[2]] = (blue - batch.mean[2]) * batch.scale[2];
}

}  // namespace framebus::kernel

#ifdef __CUDACC__
#if __CUDA_ARCH__ >= 700 && __CUDACC_VER_MAJOR__ >= 12
#define FB_ARGUMENT const __grid_constant__
#else
#define FB_ARGUMENT const
#endif

// Grid: blocks across, blocks down, frames.
extern "C" __global__ void __launch_bounds__(
    framebus::kernel::kBlockWidth* framebus::kernel::kBlockHeight)
    framebus_preprocess(FB_ARGUMENT framebus::kernel::Batch batch) {
  const unsigned x = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= batch.width || y >= batch.height) return;
  framebus::kernel::preprocess_pixel(batch, batch.frames[blockIdx.z], x, y);
}
#endif
