#!/usr/bin/env bash
# Runs the tests of what holds documents and plugins back on Debian's kernels for ARM, of 64 bits and of 32, in QEMU:
# calls of the kernel have other numbers there, and words another size. On Debian, as root: run.sh FOLDER
set -euo pipefail
work=$(realpath -m "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
rm -rf "$work"/{arm64,armhf}
mkdir -p "$work"

command -v qemu-system-aarch64 >/dev/null && command -v cpio >/dev/null ||
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-system-arm cpio </dev/null

# fetch ARCH KERNEL: Debian's kernel and busybox for ARCH, into $work/ARCH, past what apt knows of this machine.
fetch() {
  local to=$work/$1 apt kernel
  mkdir -p "$to"/{state/lists/partial,cache/archives/partial,tree}
  touch "$to/state/status"
  apt=(apt-get -qq -o "APT::Architecture=$1" -o "APT::Architectures=$1" -o "Dir::State=$to/state" -o "Dir::State::status=$to/state/status"
    -o "Dir::Cache=$to/cache" -o APT::Sandbox::User=root)
  "${apt[@]}" update || echo "some lists could not be fetched; going on with the others"
  kernel=$(apt-cache "${apt[@]:2}" depends "$2" | sed -n 's/.*Depends: \(linux-image-[^: ]*\).*/\1/p')
  (cd "$to" && "${apt[@]}" download "$kernel" busybox-static)
  for deb in "$to"/*.deb; do dpkg-deb -x "$deb" "$to/tree"; done
}

# boot ARCH GOARCH QEMU CPU CONSOLE: runs the tests on the fetched kernel. They are all that this machine has beside busybox.
boot() {
  local to=$work/$1 disk=$work/$1/disk package
  mkdir -p "$disk"/{bin,dev,etc,proc,run,sys,tmp,usr,tests}
  install "$to"/tree/bin/busybox "$disk/bin/busybox"
  ln -s ../bin "$disk/usr/bin"
  echo 'root:x:0:0:root:/tmp:/bin/sh' >"$disk/etc/passwd"
  echo '127.0.0.1 localhost' >"$disk/etc/hosts"
  for package in confine apart plugin; do
    CGO_ENABLED=0 GOARCH=$2 GOARM=7 go test -c -o "$disk/tests/$package/$package.test" "./handlers/$package"
  done
  cat >"$disk/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
uname -srm
for t in confine apart plugin; do
  cd "/tests/$t" && "./$t.test" -test.v >"/tmp/$t.log" 2>&1 && echo "green: $t, $(grep -c '^ *--- PASS' "/tmp/$t.log") tests" ||
    cat "/tmp/$t.log"
  grep '^ *--- SKIP' "/tmp/$t.log"
done
poweroff -f
INIT
  chmod +x "$disk/init"
  (cd "$disk" && find . | cpio -o -H newc --quiet | gzip -1) >"$to/initrd"
  timeout 900 "$3" -M virt -cpu "$4" -smp 2 -m 3G -nographic -no-reboot -net none -kernel "$to"/tree/boot/vmlinuz-* -initrd "$to/initrd" \
    -append "console=$5 quiet panic=-1" </dev/null | tee "$to/log"
  [ "$(grep -c '^green: ' "$to/log")" = 3 ] && ! grep 'SKIP' "$to/log"
}

fetch arm64 linux-image-arm64
boot arm64 arm64 qemu-system-aarch64 cortex-a72 ttyAMA0
fetch armhf linux-image-armmp-lpae
boot armhf arm qemu-system-arm cortex-a15 ttyAMA0
