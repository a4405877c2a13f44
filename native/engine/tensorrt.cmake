# libframebus_engine_tensorrt.so, and for its test a libnvinfer that runs on no GPU.
# ${TENSORRT_HEADERS}: the folder of NvInfer.h.

# The headers name two of CUDA's types; without a toolkit, ours will do.
find_path(CUDA_HEADERS cuda_runtime_api.h PATHS ${TENSORRT_HEADERS} /usr/local/cuda/include NO_CACHE)
if(NOT CUDA_HEADERS)
  set(CUDA_HEADERS ${CMAKE_CURRENT_SOURCE_DIR}/engine/tensorrt/cuda)
endif()

file(GLOB TENSORRT_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/engine/tensorrt/*.cc)
add_library(framebus_engine_tensorrt MODULE ${TENSORRT_SOURCES} core/cuda_driver.cc
  core/cuda_device.cc)
target_include_directories(framebus_engine_tensorrt PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_include_directories(framebus_engine_tensorrt SYSTEM PRIVATE ${TENSORRT_HEADERS}
  ${CUDA_HEADERS})
target_compile_options(framebus_engine_tensorrt PRIVATE ${FRAMEBUS_WARNINGS})
target_link_libraries(framebus_engine_tensorrt PRIVATE ${CMAKE_DL_LIBS})
if(TARGET framebus)
  add_dependencies(framebus framebus_engine_tensorrt)
endif()

# TensorRT's objects call their implementations through abstract classes, which differ from
# version to version: for each a class that aborts in every function, made of the header.
file(READ ${TENSORRT_HEADERS}/NvInferImpl.h TENSORRT_IMPL)
set(TENSORRT_STUBS "#pragma once\n#include <cstdlib>\n#include <NvInfer.h>\nnamespace nvinfer1::apiv {\n")
foreach(name Runtime CudaEngine ExecutionContext EngineInspector)
  string(FIND "${TENSORRT_IMPL}" "class V${name} :" start)
  string(SUBSTRING "${TENSORRT_IMPL}" ${start} -1 body)
  string(FIND "${body}" "{" start)
  string(FIND "${body}" "\n};" end)
  math(EXPR length "${end} - ${start}")
  string(SUBSTRING "${body}" ${start} ${length} body)
  string(REGEX REPLACE "[ \n]*= 0;" " override { std::abort(); }" body "${body}")
  string(APPEND TENSORRT_STUBS "class Stub${name} : public V${name} ${body}\n};\n")
endforeach()
string(APPEND TENSORRT_STUBS "}\n")
file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/tensorrt/tensorrt_stubs.h
  CONTENT "${TENSORRT_STUBS}")

foreach(part MAJOR MINOR PATCH)
  file(STRINGS ${TENSORRT_HEADERS}/NvInferVersion.h line
    REGEX "define (NV_TENSORRT_${part}|TRT_${part}_ENTERPRISE) +[0-9]+")
  string(REGEX MATCH " ([0-9]+)" ignored "${line}")
  set(TENSORRT_${part} ${CMAKE_MATCH_1})
endforeach()

add_library(fake_libnvinfer SHARED EXCLUDE_FROM_ALL test/tensorrt/fake_libnvinfer.cc)
set_target_properties(fake_libnvinfer PROPERTIES OUTPUT_NAME nvinfer SOVERSION ${TENSORRT_MAJOR}
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/fake)
target_include_directories(fake_libnvinfer PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_include_directories(fake_libnvinfer SYSTEM PRIVATE ${TENSORRT_HEADERS} ${CUDA_HEADERS}
  ${CMAKE_CURRENT_BINARY_DIR}/tensorrt)
target_compile_options(fake_libnvinfer PRIVATE ${FRAMEBUS_WARNINGS})

target_compile_definitions(tensorrt_engine_test PRIVATE
  FRAMEBUS_TENSORRT_VERSION="${TENSORRT_MAJOR}.${TENSORRT_MINOR}.${TENSORRT_PATCH}"
  FRAMEBUS_TENSORRT_ENGINE="$<TARGET_FILE:framebus_engine_tensorrt>"
  FRAMEBUS_FAKE_LIBCUDA="$<TARGET_SONAME_FILE:fake_libcuda>"
  FRAMEBUS_FAKE_LIBNVINFER="$<TARGET_SONAME_FILE:fake_libnvinfer>")
add_dependencies(tensorrt_engine_test framebus_engine_tensorrt fake_libcuda fake_libnvinfer)
