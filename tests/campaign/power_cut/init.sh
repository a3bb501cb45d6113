#!/bin/busybox sh
# The first process of the guest: brings up network and disks, serves, and runs what it is told at a port.
/bin/busybox --install -s /bin
export PATH=/bin NO_COLOR=1 LONGSHORE__STORAGE__PATH=/storage/recordings LONGSHORE__STORAGE__FLOOR=0
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod "$module"; done
ip link set lo up
# The addresses of QEMU's user network.
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2
mount -t ext4 -o errors=remount-ro /dev/vda /data && mount -t ext4 -o errors=remount-ro /dev/vdb /storage ||
    { echo "guest: no disks"; poweroff -f; }
# By itself the kernel would keep for half a minute what nobody syncs; in hundredths of a second.
[ -z "$WRITES_BACK" ] || for setting in expire writeback; do echo 5 >/proc/sys/vm/dirty_${setting}_centisecs; done
# The server takes an existing folder; that it exists is not the server's to keep.
[ -d /storage/recordings ] || { mkdir /storage/recordings; sync; }
cat >/bin/serve <<'SERVE'
longshore serve --listen 0.0.0.0:5004 --data /data/longshore
echo "guest: longshore ended with $?"
SERVE
nc -ll -p 7000 -e sh &
sh /bin/serve
# Whoever stopped it may start it again.
while :; do sleep 3600; done
