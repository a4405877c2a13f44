/*
 * A small engine in plain C against framebus_engine.h: for tests, and as an example.
 *
 * Its models are text files:
 *
 *   framebus-reference 1
 *   input images 64 48          the tensor's name, width, height; [N, 3, height, width] of float32
 *   cell 16                     width and height of a cell; both sides are multiples of it
 *   weights 0.299 0.587 0.114   of the three channels
 *   threshold 0.5
 *   max_batch 4
 *
 * A cell's score is the mean of weight x channel over its pixels: a convolution with
 * one kernel whose stride is its size. Outputs: "boxes" [N, K, 6] of float32, for each
 * cell above the threshold x1, y1, x2, y2, score, 0, from the top left; K is the most of
 * any picture of the batch, the rest is zeros. "above" [N] of int64: how many there are.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/framebus_engine.h"

enum { CHANNELS = 3, COLUMNS = 6, LONGEST_SIDE = 8192 };

struct fb_engine {
  char input_name[64];
  uint32_t width, height, cell, max_batch;
  float weights[CHANNELS];
  float threshold;
  fb_tensor_info input;
  fb_tensor_info output_infos[2];
  fb_tensor outputs[2];
  float* boxes;   /* Owned; for max_batch pictures with all cells. */
  int64_t* above; /* Owned; max_batch. */
  int has_run;
};

static int32_t fail(int32_t status, char* error, size_t error_bytes, const char* format, ...) {
  if (error != NULL && error_bytes > 0) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, error_bytes, format, arguments);
    va_end(arguments);
  }
  return status;
}

static uint32_t cells_of(const fb_engine* engine) {
  return engine->width / engine->cell * (engine->height / engine->cell);
}

static int32_t probe(int32_t device, fb_platform* platform, char* error, size_t error_bytes) {
  if (device != 0)
    return fail(FB_MISSING, error, error_bytes, "device %d: there is only 0", device);
  memset(platform, 0, sizeof(*platform));
  snprintf(platform->engine, sizeof(platform->engine), "reference");
  snprintf(platform->version, sizeof(platform->version), "1.0");
  snprintf(platform->device, sizeof(platform->device), "cpu");
  return FB_OK;
}

static int32_t read_model(fb_engine* engine, const char* path, char* error, size_t error_bytes) {
  unsigned version = 0;
  FILE* const file = fopen(path, "r");
  if (file == NULL) return fail(FB_DAMAGED, error, error_bytes, "%s: cannot be opened", path);
  const int first = fscanf(file, "framebus-reference %u", &version);
  const int rest =
      first != 1 || version != 1
          ? 0
          : fscanf(file, " input %63s %u %u cell %u weights %f %f %f threshold %f max_batch %u",
                   engine->input_name, &engine->width, &engine->height, &engine->cell,
                   &engine->weights[0], &engine->weights[1], &engine->weights[2],
                   &engine->threshold, &engine->max_batch);
  fclose(file);
  if (first != 1) {
    return fail(FB_DAMAGED, error, error_bytes, "%s: it is no model for the reference engine",
                path);
  }
  if (version != 1) {
    return fail(FB_WRONG_VERSION, error, error_bytes,
                "%s: it is of version %u, this engine reads 1", path, version);
  }
  if (rest != 9 || engine->cell == 0 || engine->width < engine->cell ||
      engine->height < engine->cell || engine->width > LONGEST_SIDE ||
      engine->height > LONGEST_SIDE || engine->width % engine->cell != 0 ||
      engine->height % engine->cell != 0 || engine->max_batch == 0 || engine->max_batch > 64) {
    return fail(FB_DAMAGED, error, error_bytes, "%s: it is not whole", path);
  }
  return FB_OK;
}

static void describe_tensors(fb_engine* engine) {
  const fb_tensor_info input = {.name = engine->input_name,
                                .dims = {-1, CHANNELS, engine->height, engine->width},
                                .rank = 4,
                                .type = FB_FLOAT32};
  const fb_tensor_info boxes = {
      .name = "boxes", .dims = {-1, -1, COLUMNS}, .rank = 3, .type = FB_FLOAT32};
  const fb_tensor_info above = {.name = "above", .dims = {-1}, .rank = 1, .type = FB_INT64};
  engine->input = input;
  engine->output_infos[0] = boxes;
  engine->output_infos[1] = above;
}

static void destroy(fb_engine* engine) {
  if (engine == NULL) return;
  free(engine->boxes);
  free(engine->above);
  free(engine);
}

static int32_t create(const fb_engine_options* options, fb_engine** engine, char* error,
                      size_t error_bytes) {
  if (options->struct_bytes < sizeof(fb_engine_options)) {
    return fail(FB_BAD_ARGUMENT, error, error_bytes, "options: too few bytes");
  }
  fb_engine* const made = calloc(1, sizeof(fb_engine));
  if (made == NULL) return fail(FB_NO_MEMORY, error, error_bytes, "no memory for an engine");
  const int32_t status = read_model(made, options->model, error, error_bytes);
  if (status != FB_OK) {
    destroy(made);
    return status;
  }
  if (options->max_batch > made->max_batch) {
    const uint32_t most = made->max_batch;
    destroy(made);
    return fail(FB_WRONG_SHAPE, error, error_bytes, "%s: it takes batches of up to %u, not %u",
                options->model, most, options->max_batch);
  }
  describe_tensors(made);
  made->boxes = calloc((size_t)made->max_batch * cells_of(made) * COLUMNS, sizeof(float));
  made->above = calloc(made->max_batch, sizeof(int64_t));
  if (made->boxes == NULL || made->above == NULL) {
    destroy(made);
    return fail(FB_NO_MEMORY, error, error_bytes, "%s: no memory", options->model);
  }
  *engine = made;
  return FB_OK;
}

static int32_t describe(fb_engine* engine, fb_description* description, char* error,
                        size_t error_bytes) {
  (void)error;
  (void)error_bytes;
  const fb_description filled = {.engine = "reference",
                                 .version = "1.0",
                                 .device = "cpu",
                                 .precision = "fp32",
                                 .inputs = &engine->input,
                                 .outputs = engine->output_infos,
                                 .input_count = 1,
                                 .output_count = 2,
                                 .min_batch = 1,
                                 .opt_batch = 1,
                                 .max_batch = engine->max_batch,
                                 .memory = FB_HOST};
  *description = filled;
  return FB_OK;
}

/* The mean of weight x channel over a cell. */
static float score_of(const fb_engine* engine, const float* picture, uint32_t left, uint32_t top) {
  const size_t plane = (size_t)engine->width * engine->height;
  double sum = 0;
  for (uint32_t c = 0; c < CHANNELS; ++c) {
    for (uint32_t y = top; y < top + engine->cell; ++y) {
      const float* const row = picture + c * plane + (size_t)y * engine->width;
      for (uint32_t x = left; x < left + engine->cell; ++x) {
        sum += (double)engine->weights[c] * (double)row[x];
      }
    }
  }
  return (float)(sum / (double)engine->cell / (double)engine->cell);
}

/* Writes the boxes of one picture, and returns how many. */
static uint32_t find_boxes(const fb_engine* engine, const float* picture, float* boxes) {
  uint32_t found = 0;
  for (uint32_t y = 0; y < engine->height; y += engine->cell) {
    for (uint32_t x = 0; x < engine->width; x += engine->cell) {
      const float score = score_of(engine, picture, x, y);
      if (!(score > engine->threshold)) continue;
      const float box[COLUMNS] = {
          (float)x, (float)y, (float)(x + engine->cell), (float)(y + engine->cell), score, 0};
      memcpy(boxes + (size_t)found++ * COLUMNS, box, sizeof(box));
    }
  }
  return found;
}

static int32_t check_input(const fb_engine* engine, const fb_tensor* input, uint32_t count,
                           char* error, size_t error_bytes) {
  if (count != 1 || strcmp(input->name, engine->input_name) != 0) {
    return fail(FB_BAD_ARGUMENT, error, error_bytes, "the model takes one input \"%s\"",
                engine->input_name);
  }
  if (input->type != FB_FLOAT32 || input->memory != FB_HOST) {
    return fail(FB_BAD_ARGUMENT, error, error_bytes, "input \"%s\": not float32 in host memory",
                input->name);
  }
  const int64_t* const dims = input->dims;
  if (input->rank != 4 || dims[0] < 1 || dims[0] > engine->max_batch || dims[1] != CHANNELS ||
      dims[2] != engine->height || dims[3] != engine->width) {
    return fail(FB_WRONG_SHAPE, error, error_bytes, "input \"%s\": it takes [1 to %u, 3, %u, %u]",
                input->name, engine->max_batch, engine->height, engine->width);
  }
  if (input->bytes != (uint64_t)dims[0] * CHANNELS * engine->height * engine->width * 4) {
    return fail(FB_BAD_ARGUMENT, error, error_bytes, "input \"%s\": wrong number of bytes",
                input->name);
  }
  return FB_OK;
}

static int32_t enqueue(fb_engine* engine, const fb_tensor* inputs, uint32_t input_count,
                       void* stream, char* error, size_t error_bytes) {
  (void)stream;
  const int32_t status = check_input(engine, inputs, input_count, error, error_bytes);
  if (status != FB_OK) return status;
  const uint32_t batch = (uint32_t)inputs->dims[0];
  const size_t cells = cells_of(engine);
  const size_t picture = (size_t)CHANNELS * engine->height * engine->width;
  uint32_t most = 0;
  memset(engine->boxes, 0, (size_t)batch * cells * COLUMNS * sizeof(float));
  for (uint32_t i = 0; i < batch; ++i) {
    const float* const pixels = (const float*)inputs->data + i * picture;
    const uint32_t found = find_boxes(engine, pixels, engine->boxes + i * cells * COLUMNS);
    engine->above[i] = found;
    if (found > most) most = found;
  }
  /* Closer together: K rows for each picture. */
  for (uint32_t i = 1; i < batch; ++i) {
    memmove(engine->boxes + (size_t)i * most * COLUMNS, engine->boxes + i * cells * COLUMNS,
            (size_t)most * COLUMNS * sizeof(float));
  }
  const fb_tensor boxes = {.name = "boxes",
                           .data = engine->boxes,
                           .bytes = (uint64_t)batch * most * COLUMNS * sizeof(float),
                           .dims = {batch, most, COLUMNS},
                           .rank = 3,
                           .type = FB_FLOAT32,
                           .memory = FB_HOST};
  const fb_tensor above = {.name = "above",
                           .data = engine->above,
                           .bytes = batch * sizeof(int64_t),
                           .dims = {batch},
                           .rank = 1,
                           .type = FB_INT64,
                           .memory = FB_HOST};
  engine->outputs[0] = boxes;
  engine->outputs[1] = above;
  engine->has_run = 1;
  return FB_OK;
}

static int32_t collect(fb_engine* engine, const fb_tensor** outputs, uint32_t* output_count,
                       char* error, size_t error_bytes) {
  if (!engine->has_run) return fail(FB_BAD_ARGUMENT, error, error_bytes, "nothing was enqueued");
  *outputs = engine->outputs;
  *output_count = 2;
  engine->has_run = 0;
  return FB_OK;
}

const fb_engine_api* fb_engine_entry(void) {
  static const fb_engine_api api = {.abi_version = FB_ENGINE_ABI_VERSION,
                                    .struct_bytes = sizeof(fb_engine_api),
                                    .probe = probe,
                                    .create = create,
                                    .describe = describe,
                                    .enqueue = enqueue,
                                    .collect = collect,
                                    .destroy = destroy};
  return &api;
}
