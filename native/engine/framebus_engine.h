/*
 * The C ABI of inference engines: a shared library that runs models for framebus.
 *
 * An engine is a shared library that exports fb_engine_entry(). framebus loads it with
 * dlopen() (infer.engine: /path/to/library.so), compares abi_version, and makes one
 * engine for each of its executors. docs/engines.md explains how to write one;
 * native/test/engine/reference_engine.c is a small one that works.
 *
 * Rules
 *   - C11 and C++; no other header of framebus is needed.
 *   - Whoever allocates frees. A pointer that is given away says how long it is good.
 *   - Functions return FB_OK or a status, and then write what is wrong, in words for
 *     people, into `error` (error_bytes bytes, always ended by a zero byte). `error` may
 *     be NULL. Nothing is thrown through this boundary, and nothing ends the process.
 *   - One thread at a time calls into one engine: its executor's. Different engines of
 *     one library are called by different threads at the same time.
 *   - A function may block, but for enqueue(), which should not wait for its results.
 */
#ifndef FRAMEBUS_ENGINE_H
#define FRAMEBUS_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised by every change that is not compatible; a host refuses all other numbers. */
#define FB_ENGINE_ABI_VERSION 1u
/* Name of the one symbol that an engine exports, for dlsym(). */
#define FB_ENGINE_ENTRY "fb_engine_entry"
#define FB_ENGINE_MAX_RANK 8

#if defined(__GNUC__)
#define FB_ENGINE_EXPORT __attribute__((visibility("default")))
#else
#define FB_ENGINE_EXPORT
#endif

/* What a function returns. */
enum {
  FB_OK = 0,
  /* Whatever has no word of its own below. */
  FB_FAILED = 1,
  /* The caller's mistake: a tensor that is not there, of another type, too few bytes. */
  FB_BAD_ARGUMENT = 2,
  /* A library, driver or device that the engine needs is not on this machine. */
  FB_MISSING = 3,
  /* The model was made for another version of what runs it. */
  FB_WRONG_VERSION = 4,
  /* The model was made for another kind of device. */
  FB_WRONG_DEVICE = 5,
  /* The model file is not whole, or no model for this engine. */
  FB_DAMAGED = 6,
  /* A shape that the model does not take. */
  FB_WRONG_SHAPE = 7,
  /* No memory is left, on the host or on the device. */
  FB_NO_MEMORY = 8
};

/* Types of the numbers in a tensor; float16 as its bits, bool as one byte of 0 or 1. */
enum {
  FB_FLOAT32 = 1,
  FB_FLOAT16 = 2,
  FB_FLOAT64 = 3,
  FB_INT8 = 4,
  FB_UINT8 = 5,
  FB_INT16 = 6,
  FB_UINT16 = 7,
  FB_INT32 = 8,
  FB_UINT32 = 9,
  FB_INT64 = 10,
  FB_UINT64 = 11,
  FB_BOOL = 12
};

/* Where a tensor lies. */
enum {
  FB_HOST = 1,
  /* Memory of an NVIDIA GPU: `data` is a CUdeviceptr in the device's primary context. */
  FB_CUDA = 2
};

/* A tensor's numbers, row by row, the last dimension fastest, without gaps. */
typedef struct fb_tensor {
  const char* name; /* Ended by zero. */
  void* data;       /* FB_CUDA: aligned to 256 bytes. */
  uint64_t bytes;   /* In use: the product of dims, times the size of a number. */
  int64_t dims[FB_ENGINE_MAX_RANK];
  uint32_t rank;
  int32_t type;   /* FB_FLOAT32 … */
  int32_t memory; /* FB_HOST, FB_CUDA */
  int32_t reserved;
} fb_tensor;

/* What a model takes or gives. */
typedef struct fb_tensor_info {
  const char* name;                 /* Good as long as the engine. */
  int64_t dims[FB_ENGINE_MAX_RANK]; /* -1: any length, within what the model allows. */
  uint32_t rank;
  int32_t type;
} fb_tensor_info;

/* A loaded model. All pointers are the engine's, and good as long as the engine. */
typedef struct fb_description {
  const char* engine;    /* Of the library and what it runs on: "tensorrt". */
  const char* version;   /* Of the same: "10.3.0". */
  const char* device;    /* What it calculates on: "NVIDIA H200"; "cpu". */
  const char* precision; /* That the model really calculates with: "fp16"; NULL: not known. */
  const fb_tensor_info* inputs;
  const fb_tensor_info* outputs;
  uint32_t input_count;
  uint32_t output_count;
  /* Sizes of a batch, the first dimension of all inputs. opt_batch: the one that it was made for.
   */
  uint32_t min_batch;
  uint32_t opt_batch;
  uint32_t max_batch; /* 0: no limit of its own. */
  int32_t memory;     /* Where it wants its inputs: FB_HOST, FB_CUDA; it takes FB_HOST always. */
} fb_description;

/* What the library would run models on, without a model. Texts are ended by zero. */
typedef struct fb_platform {
  char engine[32];
  char version[32];
  char device[128];
  char architecture[32]; /* What models are made for: "9.0", a compute capability; or empty. */
} fb_platform;

/* How a model is to be loaded. All pointers are the caller's, and good during create(). */
typedef struct fb_engine_options {
  uint32_t struct_bytes; /* sizeof(fb_engine_options) of the caller. */
  int32_t device;        /* Number of the device among those that the process sees, from 0. */
  uint32_t threads;      /* That one run may use on the CPU; 0: as the engine likes. */
  uint32_t max_batch;    /* Largest batch that will be asked for; at least 1. */
  const char* model;     /* Path of the model's file. */
} fb_engine_options;

typedef struct fb_engine fb_engine; /* The engine's own. */

typedef struct fb_engine_api {
  uint32_t abi_version;  /* FB_ENGINE_ABI_VERSION that the library was built with. */
  uint32_t struct_bytes; /* sizeof(fb_engine_api) of the library. */

  /* Whether models can run here at all. FB_MISSING says, in words, what is not there. */
  int32_t (*probe)(int32_t device, fb_platform* platform, char* error, size_t error_bytes);

  /* Loads a model. On success *engine is one, to be given to destroy(). */
  int32_t (*create)(const fb_engine_options* options, fb_engine** engine, char* error,
                    size_t error_bytes);

  int32_t (*describe)(fb_engine* engine, fb_description* description, char* error,
                      size_t error_bytes);

  /*
   * Starts one run on all inputs of the model, each named once, in any order. The first
   * dimension is the batch. The inputs are the caller's and stay as they are until
   * collect() has returned. `stream`: for inputs in FB_CUDA memory the CUstream on which
   * they are being written, and on which the engine then works; otherwise NULL. After an
   * enqueue() that succeeded, collect() comes before the next enqueue().
   */
  int32_t (*enqueue)(fb_engine* engine, const fb_tensor* inputs, uint32_t input_count, void* stream,
                     char* error, size_t error_bytes);

  /*
   * Waits for the run and gives its outputs, in the order of describe(), in FB_HOST
   * memory with the dimensions that they really have. They are the engine's, and good
   * until the next enqueue() or destroy().
   */
  int32_t (*collect)(fb_engine* engine, const fb_tensor** outputs, uint32_t* output_count,
                     char* error, size_t error_bytes);

  /* Waits for what runs and frees everything. NULL is ignored. */
  void (*destroy)(fb_engine* engine);
} fb_engine_api;

/* The library's functions, good as long as it is loaded. */
FB_ENGINE_EXPORT const fb_engine_api* fb_engine_entry(void);

#ifdef __cplusplus
}
#endif

#endif
