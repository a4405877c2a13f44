#include "preprocess_rows.h"

#include <algorithm>
#include <bit>
#include <cstring>

// Plain C++ that the compiler makes wide, compiled once for each instruction
// set. Measured against intrinsics: hardware gathers and AVX-512 were slower.
#define FB_INLINE inline __attribute__((always_inline))

namespace framebus::rows {
namespace {

static_assert(std::endian::native == std::endian::little, "samples are picked from 32-bit words");

constexpr size_t kBlock = 64;
using Fours = std::array<int32_t, kBlock>;

// Four bytes from each of kBlock places, so that the arithmetic after it can be wide.
FB_INLINE void load_fours(const uint8_t* row, const int32_t* offset, Fours& fours) {
  for (size_t i = 0; i < kBlock; ++i) std::memcpy(&fours[i], row + offset[i], sizeof(int32_t));
}

FB_INLINE float mix(float a, float b, float fraction) { return a + (b - a) * fraction; }

FB_INLINE float mix(int32_t a, int32_t b, float fraction) {
  return static_cast<float>(a) + static_cast<float>(b - a) * fraction;
}

FB_INLINE void sample_one(const uint8_t* row, const RowTaps& taps, float* __restrict out) {
  const size_t count = taps.offset.size();
  const float* fraction = taps.fraction.data();
  alignas(64) Fours fours;
  size_t begin = 0;
  for (; begin + kBlock <= taps.readable; begin += kBlock) {
    load_fours(row, &taps.offset[begin], fours);
    for (size_t i = 0; i < kBlock; ++i) {
      out[begin + i] = mix(fours[i] & 0xFF, (fours[i] >> 8) & 0xFF, fraction[begin + i]);
    }
  }
  for (size_t i = begin; i < count; ++i) {
    const uint8_t* p = row + taps.offset[i];
    out[i] = mix(int32_t{p[0]}, int32_t{p[taps.next]}, fraction[i]);
  }
}

FB_INLINE void sample_two(const uint8_t* row, const RowTaps& taps, float* __restrict u,
                          float* __restrict v) {
  const size_t count = taps.offset.size();
  const float* fraction = taps.fraction.data();
  alignas(64) Fours fours;
  size_t begin = 0;
  for (; begin + kBlock <= taps.readable; begin += kBlock) {
    load_fours(row, &taps.offset[begin], fours);
    for (size_t i = 0; i < kBlock; ++i) {
      const int32_t four = fours[i];
      u[begin + i] = mix(four & 0xFF, (four >> 16) & 0xFF, fraction[begin + i]);
      v[begin + i] = mix((four >> 8) & 0xFF, (four >> 24) & 0xFF, fraction[begin + i]);
    }
  }
  for (size_t i = begin; i < count; ++i) {
    const uint8_t* p = row + taps.offset[i];
    u[i] = mix(int32_t{p[0]}, int32_t{p[taps.next]}, fraction[i]);
    v[i] = mix(int32_t{p[1]}, int32_t{p[taps.next + 1]}, fraction[i]);
  }
}

FB_INLINE float level(float value) { return std::min(std::max(value, 0.0F), 255.0F); }

template <size_t kStep>
FB_INLINE void convert(const ConvertRow& row) {
  const float* __restrict y0 = row.y.first;
  const float* __restrict y1 = row.y.second;
  const float* __restrict u0 = row.u.first;
  const float* __restrict u1 = row.u.second;
  const float* __restrict v0 = row.v.first;
  const float* __restrict v1 = row.v.second;
  float* __restrict red = row.out[0];
  float* __restrict green = row.out[1];
  float* __restrict blue = row.out[2];
  const ColorCoefficients c = row.color;
  const std::array<float, 3> mean = row.mean;
  const std::array<float, 3> scale = row.scale;
  const float fy = row.y_fraction;
  const float fc = row.uv_fraction;
  const size_t count = row.count;
#pragma GCC ivdep
  for (size_t i = 0; i < count; ++i) {
    const float y = mix(y0[i], y1[i], fy) * c.luma;
    const float u = mix(u0[i], u1[i], fc);
    const float v = mix(v0[i], v1[i], fc);
    const float r = level(y + (c.red_v * v + c.red_0));
    const float g = level(y + (c.green_u * u + (c.green_v * v + c.green_0)));
    const float b = level(y + (c.blue_u * u + c.blue_0));
    red[i * kStep] = (r - mean[0]) * scale[0];
    green[i * kStep] = (g - mean[1]) * scale[1];
    blue[i * kStep] = (b - mean[2]) * scale[2];
  }
}

// The loops above for one instruction set; `attributes` names it.
#define FB_KERNELS(set, attributes)                                                                \
  attributes void sample_one_##set(const uint8_t* row, const RowTaps& taps, float* out) {          \
    sample_one(row, taps, out);                                                                    \
  }                                                                                                \
  attributes void sample_two_##set(const uint8_t* row, const RowTaps& taps, float* u, float* v) {  \
    sample_two(row, taps, u, v);                                                                   \
  }                                                                                                \
  attributes void convert_planar_##set(const ConvertRow& row) { convert<1>(row); }                 \
  attributes void convert_interleaved_##set(const ConvertRow& row) { convert<3>(row); }            \
  constexpr Kernels kKernels_##set{#set, sample_one_##set, sample_two_##set, convert_planar_##set, \
                                   convert_interleaved_##set};

// SSE2 on x86-64, NEON on arm64.
FB_KERNELS(baseline, )
#if defined(__x86_64__)
FB_KERNELS(avx2, __attribute__((target("avx2,fma"))))
#endif
#undef FB_KERNELS

std::vector<Kernels> detect() {
  std::vector<Kernels> all{kKernels_baseline};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    all.push_back(kKernels_avx2);
  }
#endif
  return all;
}

}  // namespace

const std::vector<Kernels>& available_kernels() {
  static const std::vector<Kernels> all = detect();
  return all;
}

}  // namespace framebus::rows
