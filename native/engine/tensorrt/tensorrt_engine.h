// A plan, loaded: one context, one stream, one thread.
#pragma once

#include <NvInfer.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/framebus_engine.h"
#include "gpu.h"
#include "plan_sidecar.h"
#include "tensor.h"
#include "tensorrt_log.h"

namespace framebus::tensorrt {

// What is here to run plans. Throws EngineError FB_MISSING.
PlanPlatform platform_of(const cuda::CudaDevice& device);

// All functions throw EngineError.
class TensorrtEngine {
 public:
  explicit TensorrtEngine(const fb_engine_options& options);
  ~TensorrtEngine();
  TensorrtEngine(const TensorrtEngine&) = delete;
  TensorrtEngine& operator=(const TensorrtEngine&) = delete;

  const fb_description& description() const { return description_; }
  void enqueue(std::span<const fb_tensor> inputs, cuda::Stream stream);
  std::span<const fb_tensor> collect();

 private:
  void open(const fb_engine_options& options);
  void close() noexcept;
  void load(bool host_code_allowed, std::span<const char> plan);
  void read_tensors();
  void read_tensor(int32_t index);
  void choose_profile(uint32_t max_batch);
  void read_profile(Tensor& tensor) const;
  void describe();
  void check_batch(uint32_t max_batch) const;

  void set_input(const CapturedLog& log, Tensor& tensor, const fb_tensor& given);
  void check_input(const Tensor& tensor, const fb_tensor& given) const;
  void set_output(const CapturedLog& log, Tensor& tensor);
  void copy_outputs(const CapturedLog& log);
  // Throws with what TensorRT has said meanwhile.
  [[noreturn]] void refuse(const CapturedLog& log, const std::string& what) const;
  Tensor& named(const char* name) const;

  uint32_t input_count() const { return description_.input_count; }

  const Device device_;
  const std::string plan_;
  std::string version_;
  std::string precision_;
  std::unique_ptr<cuda::OwnStream> own_stream_;
  cuda::Stream stream_ = nullptr;  // Borrowed: of the run.
  // Inputs first. Before the context, which writes into their buffers.
  std::vector<std::unique_ptr<Tensor>> tensors_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  int32_t profile_ = 0;
  bool running_ = false;

  std::vector<fb_tensor_info> infos_;  // Inputs first.
  fb_description description_{};
  std::vector<fb_tensor> outputs_;
};

}  // namespace framebus::tensorrt
