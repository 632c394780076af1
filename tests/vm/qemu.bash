# shellcheck shell=bash
# qemu: what scripts/check-vm and scripts/check-boot share: an emulator and a kernel from the archive (apt-get
# download), unpacked below $B/vm.  Nothing is installed, and this machine's boot is not touched.
B=${B:-build}
vm=$B/vm

skip() { echo "1..0 # skip $*"; exit 0; }

[ "$(uname -m)" = x86_64 ] || skip "the emulated machine is an x86_64"
for tool in apt-get dpkg ldd; do command -v $tool >/dev/null || skip "there is no $tool"; done
mkdir -p "$vm" || exit 71
vm=$(cd "$vm" && pwd)

vm_wanted() { # what apt would install, but for what has to do with booting
	apt-get -s install --no-install-recommends qemu-system-x86 busybox-static linux-image-cloud-amd64 2>/dev/null |
		awk '/^Inst/ && $2 !~ /systemd|initramfs|klibc|udev|cpio/ { print $2 }'
	# those that are installed here are taken too, so that the tree is whole
	echo busybox-static
}

vm_fetch() {
	local names deb
	names=$(vm_wanted | sort -u)
	mkdir -p "$vm/debs" && rm -rf "$vm/tree"
	# shellcheck disable=SC2086 # a list of names
	(cd "$vm/debs" && apt-get -q -o Acquire::Retries=3 download $names) >"$vm/apt.log" 2>&1 || return
	for deb in "$vm"/debs/*.deb; do dpkg -x "$deb" "$vm/tree" || return; done
	rm -rf "$vm/debs"
	touch "$vm/tree/whole"
}

vm_libraries=$vm/tree/usr/lib/x86_64-linux-gnu:$vm/tree/lib/x86_64-linux-gnu
qemu() {
	local q=$vm/tree/usr/bin/qemu-system-x86_64
	[ -x "$q" ] || q=qemu-system-x86_64
	LD_LIBRARY_PATH=$vm_libraries "$q" -L "$vm/tree/usr/share/qemu" -L "$vm/tree/usr/share/seabios" \
		-L "$vm/tree/usr/lib/ipxe/qemu" -L /usr/share/qemu -L /usr/share/seabios -L /usr/lib/ipxe/qemu "$@"
}

if [ ! -e "$vm/tree/whole" ] && ! vm_fetch; then
	skip "qemu and its kernel can't be had: $(tail -n 1 "$vm/apt.log" 2>/dev/null)"
fi
kernel=$(printf '%s\n' "$vm"/tree/boot/vmlinuz-* | tail -n 1)
[ -e "$kernel" ] || skip "the package of the kernel holds none"
qemu --version >/dev/null 2>&1 || skip "qemu does not run here"
