#!/bin/sh
# Runs a command where an escape hits nothing: in namespaces of its own, with a root in memory that shows parts of the
# system, read-only.
#
#     scratch.sh root|user|docker-root FOLDER COMMAND...
#
# FOLDER, which holds the command, is shown too. As `user` the command has a user id that owns nothing; as
# `docker-root` it is root with the capabilities that Docker gives. Without root, `root` is root of a user namespace.
set -eu
if [ "$1" != inside ]; then
    spaces='--mount --pid --net --ipc --uts --fork --kill-child --propagation private'
    if [ "$(id -u)" != 0 ]; then spaces="--map-root-user $spaces"; was=user; else was=root; fi
    # shellcheck disable=SC2086 # these are words
    exec unshare $spaces -- sh "$0" inside "$was" "$@"
fi
was=$2 who=$3 folder=$4
shift 4

mount -t tmpfs -o mode=0755,size=256m scratch /mnt
cd /mnt
show() { # PATH: binds it, read-only
    if [ -d "$1" ]; then mkdir -p ".$1"; else mkdir -p ".$(dirname "$1")"; : >".$1"; fi
    mount --bind "$1" ".$1"
    mount -o remount,bind,ro ".$1" 2>/dev/null || mount -o remount,bind,ro,nosuid,nodev ".$1"
}
for part in /bin /sbin /lib /lib32 /lib64 /libx32; do
    if [ -L "$part" ]; then ln -s "$(readlink "$part")" ".$part"; elif [ -d "$part" ]; then show "$part"; fi
done
show /usr
show "$folder"
mkdir -p dev/shm etc home/someone root sys/fs/cgroup proc tmp var/tmp old
chmod 1777 dev/shm tmp var/tmp
for device in null zero full random urandom; do
    : >dev/$device
    mount --bind /dev/$device dev/$device
done
cp /etc/passwd /etc/group /etc/ld.so.cache etc/
[ ! -d /etc/alternatives ] || cp -r /etc/alternatives etc/
echo 'root:*:1:0:99999:7:::' >etc/shadow
chmod 600 etc/shadow
mount -t proc proc proc
if [ "$was" = root ] && [ -d /sys/fs/cgroup ]; then mount --rbind /sys/fs/cgroup sys/fs/cgroup; fi
pivot_root . old
cd /
umount -l old
rmdir old
if command -v ip >/dev/null; then ip link set lo up; fi

case $was-$who in
    *-root) exec "$@" ;;
    root-user) exec setpriv --reuid 65533 --regid 65533 --clear-groups -- "$@" ;;
    user-user) exec unshare --user --map-user=1000 --map-group=1000 -- "$@" ;;
    root-docker-root)
        has=-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap
        has=$has,+net_bind_service,+sys_chroot,+kill,+audit_write
        exec setpriv --inh-caps=-all --bounding-set="$has" -- "$@"
        ;;
    *) echo "cannot be $who here" >&2; exit 2 ;;
esac
