/** The Debian packages that framebus needs, by what for. */

/** To build and to run. */
export const RUNTIME_PACKAGES = [
  'g++',
  'cmake',
  'ninja-build',
  'pkg-config',
  'libgstreamer1.0-dev',
  'libgstreamer-plugins-base1.0-dev',
  'libgstrtspserver-1.0-dev',
  'gstreamer1.0-plugins-base',
  'gstreamer1.0-plugins-good',
  'gstreamer1.0-plugins-bad',
  'gstreamer1.0-plugins-ugly',
  'gstreamer1.0-libav',
  'nats-server',
  'libpango1.0-dev',
  'libturbojpeg0-dev',
  'fonts-dejavu-core',
];

/** For tests and benchmarks, on top of those. */
export const TEST_PACKAGES = [
  'gstreamer1.0-tools',
  'ffmpeg',
  'chromium',
  'clang-format',
  'spin',
  'python3-gi',
  'gir1.2-gst-rtsp-server-1.0',
  'python3-grpcio',
  'python3-protobuf',
  'python3-numpy',
];
