#!/bin/sh
# Becomes systemd, as process 1 of the namespaces that this runs in, with copies of what it may write to.
# boot.sh FOLDER USER UID: FOLDER has units/ and bin/.
set -eu
folder=$1 user=$2 uid=$3

mount --make-rprivate /
mount -t proc proc /proc
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/system /run/lock /run/units /run/over /run/work
cp -r "$folder/units/." /run/units
mount -t overlay -o lowerdir=/etc,upperdir=/run/over,workdir=/run/work overlay /etc
for dir in /etc/systemd/system /etc/systemd/user /var/lib /var/log /home /opt; do
  mkdir -p "$dir"
  mount -t tmpfs -o mode=755 tmpfs "$dir"
done
for program in "$folder"/bin/*; do
  touch "/opt/${program##*/}"
  mount --bind "$program" "/opt/${program##*/}"
done
mount -t tmpfs -o mode=1777 tmpfs /tmp
[ -s /etc/machine-id ] || echo 5ea1ab1e5ea1ab1e5ea1ab1e5ea1ab1e >/etc/machine-id
echo "$user:x:$uid:$uid::/home/$user:/bin/sh" >>/etc/passwd
echo "$user:x:$uid:" >>/etc/group
mkdir -p "/home/$user" "/run/user/$uid"
chown "$uid:$uid" "/home/$user" "/run/user/$uid"
chmod 700 "/home/$user" "/run/user/$uid"

ip link set lo up
ip link add lan type veth peer name wall
ip addr add 10.78.0.2/24 dev lan
ip link set lan up
ip link set wall up

export container=myco SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/units
systemd=/lib/systemd/systemd
[ -x $systemd ] || systemd=/usr/lib/systemd/systemd
exec $systemd --system --unit=basic.target --log-target=console --show-status=no
