# Engines as shared libraries: the one for tests, always, and TensorRT's where its headers are.
#
#   -DFRAMEBUS_TENSORRT_INCLUDE=FOLDER   with NvInfer.h; default: the environment's variable
#                                        of this name, else what the system has
enable_language(C)
set(FRAMEBUS_C_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)

add_library(reference_engine MODULE test/engine/reference_engine.c)
set_target_properties(reference_engine PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON
  C_EXTENSIONS OFF C_VISIBILITY_PRESET hidden)
target_include_directories(reference_engine PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_options(reference_engine PRIVATE ${FRAMEBUS_C_WARNINGS})

if(TARGET framebus)
  add_dependencies(framebus reference_engine)
endif()

# ---- TensorRT
set(FRAMEBUS_TENSORRT_INCLUDE "" CACHE PATH "Folder of NvInfer.h")
if(FRAMEBUS_TENSORRT_INCLUDE)
  set(TENSORRT_HEADERS ${FRAMEBUS_TENSORRT_INCLUDE})
elseif(NOT "$ENV{FRAMEBUS_TENSORRT_INCLUDE}" STREQUAL "")
  set(TENSORRT_HEADERS $ENV{FRAMEBUS_TENSORRT_INCLUDE})
else()
  find_path(TENSORRT_HEADERS NvInfer.h PATH_SUFFIXES tensorrt
    PATHS /usr/local/tensorrt/include /usr/local/cuda/include NO_CACHE)
endif()
if(TENSORRT_HEADERS)
  if(NOT EXISTS ${TENSORRT_HEADERS}/NvInfer.h)
    message(FATAL_ERROR "FRAMEBUS_TENSORRT_INCLUDE: there is no NvInfer.h in ${TENSORRT_HEADERS}")
  endif()
  message(STATUS "TensorRT's headers: ${TENSORRT_HEADERS}")
  include(engine/tensorrt.cmake)
else()
  message(STATUS "TensorRT's headers: not here, its engine is not built")
endif()
