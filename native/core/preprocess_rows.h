// The inner loops of preprocess(): one row at a time, by instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace framebus::rows {

// Where each output pixel of a row takes its two samples.
struct RowTaps {
  std::vector<int32_t> offset;  // Bytes from the row's start to the left sample.
  std::vector<float> fraction;  // Weight of the right sample, 0-1.
  uint32_t next = 0;            // Bytes from the left to the right sample; 0 in one-sample rows.
  uint32_t readable = 0;  // Outputs, from the first, for which offset + 4 bytes lie in the row.
};

// One component -> count floats.
using SampleOne = void (*)(const uint8_t* row, const RowTaps& taps, float* out);
// Two interleaved components (NV12's UV) -> count floats each.
using SampleTwo = void (*)(const uint8_t* row, const RowTaps& taps, float* u, float* v);

// Two source rows of a component and the weight of the second.
struct RowPair {
  const float* first = nullptr;
  const float* second = nullptr;
};

// R = luma * Y + red_v * V + red_0, and so on; results in levels 0-255.
struct ColorCoefficients {
  float luma = 1;
  float red_v = 0, red_0 = 0;
  float green_u = 0, green_v = 0, green_0 = 0;
  float blue_u = 0, blue_0 = 0;
};

struct ConvertRow {
  RowPair y, u, v;
  float y_fraction = 0;
  float uv_fraction = 0;
  ColorCoefficients color;
  std::array<float, 3> mean{};   // R, G, B.
  std::array<float, 3> scale{};  // R, G, B.
  std::array<float*, 3> out{};   // First R, G and B float of the row.
  uint32_t count = 0;
};
using Convert = void (*)(const ConvertRow& row);

struct Kernels {
  const char* name;
  SampleOne sample_one;
  SampleTwo sample_two;
  Convert convert_planar;       // Floats of a channel lie side by side.
  Convert convert_interleaved;  // Floats of a channel lie 3 apart.
};

// All that this CPU can run, the plainest first; preprocess() takes the last.
const std::vector<Kernels>& available_kernels();

}  // namespace framebus::rows
