#!/bin/bash
# Runs inside the virtual machine. Says PASS or FAIL for each check, and at last how many.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
cd "$(dirname "$0")/../.." || exit 1
failed=0
passed=0

up() { cut -d' ' -f1 /proc/uptime; }

# check NAME SECONDS COMMAND…: the last line of what it prints says what came of it.
check() {
  local name=$1 limit=$2 start verdict
  shift 2
  start=$(up)
  if timeout -k 5 "$limit" "$@" > /run/out 2>&1; then
    verdict=PASS
    passed=$((passed + 1))
  else
    verdict=FAIL
    failed=$((failed + 1))
  fi
  sed 's/^/  | /' /run/out
  echo "$verdict $name: $(tail -n 1 /run/out | cut -c1-200) ($(echo "$start $(up)" | awk '{printf "%.1f s", $2 - $1}'))"
}

# As on a machine where nobody sees the heaps.
without_heaps() { echo "mount -t tmpfs none /dev/dma_heap && exec $*"; }

# Only what is needed: looking at every plugin takes half a minute here.
plugins=/run/gstreamer-plugins
mkdir -p $plugins
for name in coreelements video4linux2 playback typefindfunctions videoconvertscale videoconvert app; do
  ln -s "$(pkg-config --variable=pluginsdir gstreamer-1.0)/libgst$name.so" $plugins/ 2> /dev/null
done
export GST_REGISTRY=/run/gstreamer-registry.bin GST_PLUGIN_SYSTEM_PATH=$plugins GST_PLUGIN_PATH=$plugins

echo # The firmware leaves control characters on the line.
echo "UP after $(up) s, Linux $(uname -r)"
check 'devices' 20 bash -c 'echo $(ls -d /dev/udmabuf /dev/dma_heap/* /dev/video*)'
check 'C++ over dma_heap' 120 native/build/dmabuf_test
check 'C++ over udmabuf' 120 unshare --mount bash -c "$(without_heaps native/build/dmabuf_test)"
check 'JavaScript over dma_heap' 120 node scripts/vm/pool.mjs
check 'JavaScript over udmabuf' 120 unshare --mount bash -c "$(without_heaps node scripts/vm/pool.mjs)"
check 'camera through ingest' 240 node scripts/vm/camera.mjs
echo "DONE after $(up) s: $passed passed, $failed failed"
