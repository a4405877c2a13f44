#!/bin/busybox sh
# First process of the virtual machine: this machine's files, read-only, under a
# layer in memory; then the script that the kernel's command line names as guest=.
b=/bin/busybox
fail() { echo "FAIL boot: $1"; $b poweroff -f; }
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r module; do
  case $module in
    vivid.ko) options="n_devs=1 node_types=0x1 num_inputs=1 input_types=3 no_error_inj=1" ;;
    *) options= ;;
  esac
  $b insmod "/modules/$module" $options || fail "module $module"
done < /modules/modules.txt
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose hostroot /lower || fail "9p"
$b mount -t tmpfs -o size=70% tmpfs /upper && $b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root || fail "overlay"
for word in $($b cat /proc/cmdline); do
  case $word in guest=*) guest=${word#guest=} ;; esac
done
for folder in proc sys dev; do $b mount --move /$folder /root/$folder; done
$b mkdir -p /root/dev/pts /root/dev/shm
$b mount -t devpts devpts /root/dev/pts
$b mount -t tmpfs shm /root/dev/shm
$b mount -t tmpfs run /root/run
$b mount -t debugfs debug /root/sys/kernel/debug
$b chroot /root /bin/busybox ip link set lo up
$b chroot /root /bin/bash "$guest"
$b sync
$b poweroff -f
