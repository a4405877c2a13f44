// Stands in for CUDA's header of this name where there is no CUDA toolkit: TensorRT's
// headers use these two types of it, which are pointers to something opaque.
#pragma once

struct CUstream_st;
struct CUevent_st;
using cudaStream_t = CUstream_st*;
using cudaEvent_t = CUevent_st*;
