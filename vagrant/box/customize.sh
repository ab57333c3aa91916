#!/bin/sh
# Makes a bootable machine of an unpacked Debian: customize.sh ROOT PUBLIC_KEY [EXTRA_FOLDER]
set -eu
root=$1
key=$2
extra=${3:-}
here=$(dirname "$(readlink -f "$0")")

cp -r "$here/root/." "$root/"
echo box >"$root/etc/hostname"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
: >"$root/etc/machine-id"
install -d -m 0700 "$root/root/.ssh"
install -m 0600 "$key" "$root/root/.ssh/authorized_keys"

if [ -n "$extra" ]; then
  for file in "$extra"/*; do
    case $file in
    *.deb) install -D -m 0644 "$file" "$root/extra/$(basename "$file")" ;;
    *) [ ! -f "$file" ] || install -m 0755 "$file" "$root/usr/local/bin/" ;;
    esac
  done
  if [ -d "$root/extra" ]; then
    chroot "$root" sh -c 'apt-get install -q -y --no-install-recommends /extra/*.deb'
    rm -r "$root/extra"
  fi
fi

# Nothing of a cluster, a target or Xen starts by itself: whoever sets a machine up starts what it needs.
for unit in \
  corosync corosync-notifyd corosync-qdevice corosync-qnetd dlm iscsid open-iscsi multipathd nbd-client \
  rtslib-fb-targetctl sbd sbd_remote xen xendomains qemu-guest-agent nftables ssh.socket; do
  chroot "$root" systemctl disable -q "$unit" 2>/dev/null || true
done
# What only costs time at each start. logind stays: power-off by ACPI is its work.
for unit in \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer man-db.timer systemd-timesyncd.service getty@tty1.service serial-getty@ttyS0.service \
  systemd-binfmt.service systemd-hwdb-update.service lvm2-monitor.service; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
chroot "$root" systemctl enable -q ssh.service

# The archive's address is the building machine's affair.
rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root"/etc/apt/apt.conf.d/99mmdebstrap \
  "$root"/etc/resolv.conf "$root"/boot/initrd.img*
