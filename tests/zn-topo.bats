#!/usr/bin/env bats
# zn-topo: what a machine is, from this one, from recordings, from a driver, made up.
bats_require_minimum_version 1.5.0

setup() {
	machines=$BATS_TEST_DIRNAME/fixtures/machines
	unset ZENITH_MOCK_GPUS
}

# Of $1 the JSON of kind $2.
of() { zn-topo -o json -f "$1" -k "$2"; }

# The value of key $1 in each line of JSON; nothing where it is absent.
value() { python3 -c 'import json, sys
for line in sys.stdin: print(json.loads(line).get(sys.argv[1], ""))' "$1"; }

# "sockets numas cores cpus gpus nics nvmes" of the machine $1
counts() { of "$1" machine | python3 -c 'import json, sys
m = json.load(sys.stdin); print(*(m[k] for k in "sockets numas cores cpus gpus nics nvmes".split()))'; }

# "address:node" of every record of kind $2 of the machine $1
nodes() { of "$1" "$2" | python3 -c 'import json, sys
print(*(m["pci"] + "=" + str(m.get("numa", "?")) for m in map(json.loads, sys.stdin)))'; }

shared() {
	[ -n "${ZENITH_SHARED-}" ] || skip "ZENITH_SHARED is not set: the recorded machines are not here"
	file=$ZENITH_SHARED/machines/$1
	[ -e "$file" ] || skip "$file is not there"
	if [[ $file == *.tar.bz2 ]]; then
		mkdir "$BATS_TEST_TMPDIR/dump"
		tar -C "$BATS_TEST_TMPDIR/dump" -xjf "$file"
		file=$BATS_TEST_TMPDIR/dump
	fi
}

# A directory in which the dynamic linker finds our fake driver library.
fake_driver() {
	mkdir -p "$BATS_TEST_TMPDIR/driver"
	ln -sf "$B/tests/$1.so" "$BATS_TEST_TMPDIR/driver/libnvidia-ml.so.1"
	export LD_LIBRARY_PATH=$BATS_TEST_TMPDIR/driver
}

# ---- recordings --------------------------------------------------------------------------------

@test "every recorded machine of ours gives the records that stand beside it" {
	for dir in "$machines"/*/; do
		from=$dir/root
		[ -e "$from" ] || from=$dir/machine.xml
		zn-topo -o json -f "$from" >"$BATS_TEST_TMPDIR/is"
		if [ -n "${ZENITH_UPDATE-}" ]; then cp "$BATS_TEST_TMPDIR/is" "$dir/expected.json"; fi
		diff "$dir/expected.json" "$BATS_TEST_TMPDIR/is"
	done
}

@test "two sockets: one GPU known to CUDA, OpenCL and NVML counts once; BMC, Xeon Phi and DSA do not count" {
	m=$machines/2numa-gpu-nic/machine.xml
	[ "$(counts "$m")" = "2 2 4 8 3 3 1" ]
	[ "$(nodes "$m" gpu)" = "0000:1a:00.0=0 0000:1b:00.0=0 0000:98:00.0=1" ]
	[ "$(of "$m" link | head -1)" = '{"kind":"link","a":"gpu0","b":"gpu1","type":"NV4","link_gbps":800.0}' ]
}

@test "a sparse /sys: the node comes from the local CPUs, the vendor from the modalias, else both are absent" {
	m=$machines/sysfs-sparse
	[ "$(counts "$m")" = "2 2 4 4 3 1 1" ]
	[ "$(nodes "$m" gpu)" = "0000:18:00.0=0 0000:19:00.0=? 0000:98:00.0=1" ]
	[ "$(of "$m" gpu | value vendor | paste -sd,)" = NVIDIA,,NVIDIA ]
	[ "$(of "$m" gpu | value pcie_gen | paste -sd,)" = 5,, ]
	[ "$(of "$m" nic | value link_gbps)" = 400.0 ]
}

@test "a machine with eight NUMA nodes and four AMD GPUs, a BMC beside them" {
	shared corona-8numa-4mi-ocl.xml
	[ "$(counts "$file")" = "2 8 48 96 4 3 1" ]
	[ "$(nodes "$file" gpu)" = "0000:13:00.0=1 0000:23:00.0=2 0000:53:00.0=5 0000:73:00.0=7" ]
	[ "$(nodes "$file" nic)" = "0000:03:00.0=0 0000:03:00.1=0 0000:33:00.0=3" ]
	[ "$(of "$file" gpu | value mem_bytes | sort -u)" = 34342961152 ]
	[ "$(of "$file" nic | tail -1 | value state)" = up ]
}

@test "a DGX-2: sixteen GPUs, each pair linked by six NVLinks over the switches" {
	shared dgx2-16v100-hwloc.xml
	[ "$(counts "$file")" = "2 2 4 4 16 0 0" ]
	[ "$(of "$file" gpu | value numa | uniq -c | tr -s ' \n' ' ')" = " 8 0 8 1 " ]
	[ "$(of "$file" link | value type | sort | uniq -c | tr -s ' ')" = " 120 NV6" ]
	[ "$(of "$file" link | value link_gbps | sort -u)" = 1200.0 ]
}

@test "a g4dn.metal: eight T4, pairs of them on a host bridge" {
	shared g4dnmetal-8t4.xml
	[ "$(counts "$file")" = "2 2 48 96 8 2 3" ]
	[ "$(nodes "$file" gpu)" = "0000:18:00.0=0 0000:19:00.0=0 0000:35:00.0=0 0000:36:00.0=0 \
0000:e7:00.0=1 0000:e8:00.0=1 0000:f4:00.0=1 0000:f5:00.0=1" ]
	zn-topo -o json -f "$file" -k link >"$BATS_TEST_TMPDIR/links"
	grep -q '"a":"gpu0","b":"gpu1","type":"PHB"' "$BATS_TEST_TMPDIR/links"
	grep -q '"a":"gpu0","b":"gpu2","type":"NODE"' "$BATS_TEST_TMPDIR/links"
	grep -q '"a":"gpu3","b":"gpu4","type":"SYS"' "$BATS_TEST_TMPDIR/links"
}

@test "a POWER9: its nodes are 0 and 8, with two GPUs and two InfiniBand ports each" {
	shared lassen-p9-4v100.xml
	[ "$(counts "$file")" = "2 2 40 160 4 6 1" ]
	[ "$(nodes "$file" gpu)" = "0004:04:00.0=0 0004:05:00.0=0 0035:03:00.0=8 0035:04:00.0=8" ]
	[ "$(nodes "$file" nic)" = "0003:01:00.0=0 0003:01:00.1=0 0005:01:00.0=0 0005:01:00.1=0 \
0033:01:00.0=8 0033:01:00.1=8" ]
	[ "$(of "$file" numa | value distances | paste -sd' ')" = "[10, 40] [40, 10]" ]
}

@test "a dump of /sys: vector engines are no GPUs, InfiniBand without a driver is a NIC" {
	shared sysfs-2xXeon4108-8NECVE-2IB.tar.bz2
	[ "$(counts "$file")" = "2 2 16 32 0 4 0" ]
	[ "$(nodes "$file" nic)" = "0000:1a:00.0=0 0000:3e:00.0=0 0000:60:00.0=0 0000:60:00.1=0" ]
	[ "$(of "$file" cpu | value allowed | sort -u)" = True ]
	[ "$(of "$file" numa | value huge_2m | paste -sd,)" = 2048,2048 ]
}

@test "a dump taken in a cgroup: all CPUs are listed, six of them allowed, none of ours" {
	shared sysfs-4xOpteron6134-8numa-cgroup2.tar.bz2
	[ "$(counts "$file")" = "4 8 32 32 0 0 0" ]
	[ "$(of "$file" cpu | grep '"allowed":true' | value cpu | paste -sd,)" = 0,1,2,3,4,5 ]
	[ "$(of "$file" node | value cpus)" = 6 ]
}

# ---- this machine ------------------------------------------------------------------------------

@test "CPUs outside the affinity of the process are listed and not allowed" {
	first=$(zn-topo -o json -k cpu | grep '"allowed":true' | head -1 | value cpu)
	taskset -c "$first" zn-topo -o json -k cpu >"$BATS_TEST_TMPDIR/cpus"
	[ "$(grep '"allowed":true' "$BATS_TEST_TMPDIR/cpus" | value cpu)" = "$first" ]
	[ "$(wc -l <"$BATS_TEST_TMPDIR/cpus")" -eq "$(zn-topo -o json -k machine | value cpus)" ]
}

@test "the environment's hwloc variables do not change what a file says, and come to no harm" {
	m=$machines/sysfs-sparse/root
	HWLOC_COMPONENTS=-linux HWLOC_SYNTHETIC="pack:9 pu:9" HWLOC_FSROOT=/nonexistent zn-topo -o json -f "$m" |
		diff "$machines/sysfs-sparse/expected.json" -
}

# ---- mocks -------------------------------------------------------------------------------------

@test "ZENITH_MOCK_GPUS makes a machine with two nodes, the option outdoes it, a file is not touched by it" {
	export ZENITH_MOCK_GPUS=8
	[ "$(zn-topo -o json -k machine | value gpus)" = 8 ]
	[ "$(zn-topo -o json -k machine | value mock)" = True ]
	[ "$(zn-topo -o json -k gpu | value numa | paste -sd,)" = 0,0,0,0,1,1,1,1 ]
	[ "$(zn-topo -o json -k gpu --mock 2:t4 | value name | sort -u)" = "Tesla T4" ]
	[ "$(of "$machines/vm-1numa/machine.xml" machine | value gpus)" = 0 ]
	ZENITH_MOCK_GPUS='' zn-topo -o json -k machine | grep '"mock":false'
}

@test "the same mock has the same UUIDs every time" {
	zn-topo --mock 4 -o json -k gpu >"$BATS_TEST_TMPDIR/a"
	zn-topo --mock 4 -o json -k gpu | diff "$BATS_TEST_TMPDIR/a" -
	[ "$(value uuid <"$BATS_TEST_TMPDIR/a" | grep -c '^GPU-mock-')" -eq 4 ]
	[ "$(value uuid <"$BATS_TEST_TMPDIR/a" | sort -u | wc -l)" -eq 4 ]
}

@test "a mock is the same machine for a process that may use one CPU only" {
	first=$(zn-topo -o json -k cpu | grep '"allowed":true' | head -1 | value cpu)
	zn-topo --mock 2 -o json -k cpu | sed 's/"allowed":true/"allowed":false/' >"$BATS_TEST_TMPDIR/all"
	[ "$(zn-topo --mock 2 -o json -k numa | value cpus)" = "$(taskset -c "$first" zn-topo --mock 2 -o json -k numa | value cpus)" ]
	taskset -c "$first" zn-topo --mock 2 -o json -k cpu >"$BATS_TEST_TMPDIR/one"
	[ "$(grep -c '"allowed":true' "$BATS_TEST_TMPDIR/one")" -eq 1 ]
	sed 's/"allowed":true/"allowed":false/' "$BATS_TEST_TMPDIR/one" | diff "$BATS_TEST_TMPDIR/all" -
}

@test "the matrix of a machine without GPUs shows its NICs" {
	shared sysfs-2xXeon4108-8NECVE-2IB.tar.bz2
	zn-topo -m -o table -f "$file" >"$BATS_TEST_TMPDIR/matrix"
	[ "$(zn-topo -k nic -o json -f "$file" | wc -l)" -eq "$(grep -c ' X  ' "$BATS_TEST_TMPDIR/matrix")" ]
}

@test "CPU numbers that no machine has are refused" {
	cat >"$BATS_TEST_TMPDIR/far.xml" <<-'XML'
	<?xml version="1.0" encoding="UTF-8"?>
	<!DOCTYPE topology SYSTEM "hwloc2.dtd">
	<topology version="2.0"><object type="Machine" os_index="0" cpuset="0xf...f" complete_cpuset="0xf...f" nodeset="0x1" complete_nodeset="0x1" allowed_cpuset="0xf...f" allowed_nodeset="0x1" gp_index="1"><object type="NUMANode" os_index="0" cpuset="0xf...f" complete_cpuset="0xf...f" nodeset="0x1" complete_nodeset="0x1" gp_index="2" local_memory="1"/><object type="PU" os_index="4000000000" cpuset="0x1" complete_cpuset="0x1" nodeset="0x1" complete_nodeset="0x1" gp_index="3"/></object></topology>
	XML
	run --separate-stderr -65 zn-topo -f "$BATS_TEST_TMPDIR/far.xml"
	[[ $stderr == *"CPUs beyond number 2047"* ]]
}

@test "--matrix and --kind exclude each other" {
	run --separate-stderr -64 zn-topo -m -k gpu
	[[ $stderr == *"--matrix and --kind exclude each other"* ]]
}

@test "a directory that holds no machine is 65, one that may not be read 77" {
	mkdir -p "$BATS_TEST_TMPDIR/d/sys/devices/system"
	run --separate-stderr -65 zn-topo -f "$BATS_TEST_TMPDIR/d"
	[ "$(id -u)" = 0 ] && skip "root may read everything"
	mkdir -m 300 "$BATS_TEST_TMPDIR/private"
	run --separate-stderr -77 zn-topo -f "$BATS_TEST_TMPDIR/private"
}

@test "--fields leaves out the kinds that have none of the keys" {
	[ "$(zn-topo --mock 2 --fields gpu,pci -o json | grep -c '{}')" -eq 0 ]
	[ "$(zn-topo --mock 2 -k machine,gpu,cpu --fields uuid -o json | wc -l)" -eq 2 ]
}

@test "the matrix is complete: every device has a row and a column, and no cell is empty or N/A" {
	zn-topo --mock 8:v100 -m -o table >"$BATS_TEST_TMPDIR/matrix"
	run -0 awk 'NR == 1 { n = NF; next } NF < 3 { exit } NF != n + 1 { exit 1 } END { print NR }' \
		"$BATS_TEST_TMPDIR/matrix"
	[ "$output" -eq 14 ]
	run ! grep -E 'N/A|\?' "$BATS_TEST_TMPDIR/matrix"
	grep -q '^NV#   a bond of # NVLinks' "$BATS_TEST_TMPDIR/matrix"
}

@test "in a pipe the matrix is its link records" {
	[ "$(zn-topo --mock 4 -m -o json)" = "$(zn-topo --mock 4 -k link -o json)" ]
	[ "$(zn-topo --mock 4 -m -o json | wc -l)" -eq 30 ] # with drives, too
}

@test "without a GPU and a NIC the matrix is a sentence and no error" {
	cat <<-'XML' >"$BATS_TEST_TMPDIR/bare.xml"
	<?xml version="1.0" encoding="UTF-8"?>
	<!DOCTYPE topology SYSTEM "hwloc2.dtd">
	<topology version="2.0"><object type="Machine" os_index="0" cpuset="0x1" complete_cpuset="0x1" nodeset="0x1" complete_nodeset="0x1" allowed_cpuset="0x1" allowed_nodeset="0x1" gp_index="1"><object type="NUMANode" os_index="0" cpuset="0x1" complete_cpuset="0x1" nodeset="0x1" complete_nodeset="0x1" gp_index="2" local_memory="1"/><object type="PU" os_index="0" cpuset="0x1" complete_cpuset="0x1" nodeset="0x1" complete_nodeset="0x1" gp_index="3"/></object></topology>
	XML
	run --separate-stderr -0 zn-topo -f "$BATS_TEST_TMPDIR/bare.xml" -m -o table
	[ "$output" = "this machine has no GPU and no NIC, so there are no links to show" ]
	[ -z "$stderr" ]
}

@test "the tree names nodes, devices below them and the links" {
	run -0 zn-topo -f "$machines/2numa-gpu-nic/machine.xml" -o table
	[ "${lines[0]}" = "two-socket: Example 2S, x86_64, 6.1.0" ]
	[ "${lines[2]}" = "NUMA 0: CPUs 0-3, 64.0G" ]
	[ "${lines[3]}" = "  gpu0     Example A800, 80.0G, 0000:1a:00.0, PIX to mlx5_0" ]
	[[ ${lines[-1]} == "links: 1 pair NV4, 2 pairs SYS" ]]
}

@test "records of chosen kinds and keys, in every format" {
	m=$machines/2numa-gpu-nic/machine.xml
	[ "$(zn-topo -f "$m" -k gpu,nic -o json | value kind | uniq | paste -sd,)" = gpu,nic ]
	[ "$(zn-topo -f "$m" -k gpu -o csv --fields gpu,numa | paste -sd' ')" = "gpu,numa 0,0 1,0 2,1" ]
	zn-topo -f "$m" | zn-fmt -o json | diff <(zn-topo -f "$m" -o json) -
	run -0 zn-topo -f "$m" -k numa -o table
	[[ ${lines[0]} == NUMA*CPUS*MEM* ]]
}

# ---- drivers -----------------------------------------------------------------------------------

@test "NVML adds UUID, name, memory and NVLinks, counted in PCI order" {
	fake_driver nvidia-ml
	export FAKE_NVML_LINKS=switch FAKE_NVML_MINORS=1,0
	zn-topo -o json -k gpu >"$BATS_TEST_TMPDIR/gpus"
	[ "$(value pci <"$BATS_TEST_TMPDIR/gpus" | paste -sd,)" = 0000:18:00.0,0000:22:00.0 ]
	[ "$(value uuid <"$BATS_TEST_TMPDIR/gpus" | paste -sd,)" = GPU-fake-18,GPU-fake-22 ]
	[ "$(value gpu <"$BATS_TEST_TMPDIR/gpus" | paste -sd,)" = 0,1 ]
	[ "$(value mem_bytes <"$BATS_TEST_TMPDIR/gpus" | sort -u)" = 85899345920 ]
	[ "$(value mem_used_bytes <"$BATS_TEST_TMPDIR/gpus" | sort -u)" = $((424 << 20)) ] # not what it keeps for itself
	[ "$(value devices <"$BATS_TEST_TMPDIR/gpus" | paste -sd,)" = "['/dev/nvidia0'],['/dev/nvidia1']" ]
	[ "$(value nvlinks <"$BATS_TEST_TMPDIR/gpus" | sort -u)" = 18 ]
	[ "$(value driver <"$BATS_TEST_TMPDIR/gpus" | sort -u)" = "nvml 550.54.15" ]
	zn-topo -o json -k link | grep '"a":"gpu0","b":"gpu1","type":"NV18","link_gbps":3600.0'
	FAKE_NVML_LINKS=pair zn-topo -o json -k link | grep '"a":"gpu0","b":"gpu1","type":"NV2","link_gbps":400.0'
}

@test "NVML tells who uses a GPU: a process that computes and draws once, with user and command" {
	fake_driver nvidia-ml
	export FAKE_NVML_PID=$$ FAKE_NVML_PROCS=100
	zn-topo -o json -k gpu | tail -1 >"$BATS_TEST_TMPDIR/gpu"
	python3 - "$BATS_TEST_TMPDIR/gpu" "$$" "$(id -un)" <<-'PY'
		import json, sys
		users = json.load(open(sys.argv[1]))["users"]
		assert len(users) == 101, len(users)
		mine = [u for u in users if u["pid"] == int(sys.argv[2])]
		assert len(mine) == 1 and mine[0]["mem_bytes"] == 512 << 20, mine
		assert mine[0]["user"] == sys.argv[3] and mine[0]["command"], mine
		assert all("mem_bytes" not in u and "user" not in u for u in users if u["pid"] >= 4000001)
	PY
}

@test "an NVML call that fails leaves its field out and the rest in" {
	fake_driver nvidia-ml
	while read -r call key; do
		export FAKE_NVML_FAIL=$call
		zn-topo -o json -k gpu >"$BATS_TEST_TMPDIR/gpus"
		[ "$(wc -l <"$BATS_TEST_TMPDIR/gpus")" -eq 2 ]
		run ! grep "\"$key\"" "$BATS_TEST_TMPDIR/gpus"
		[ "$(grep -c '"pci"' "$BATS_TEST_TMPDIR/gpus")" -eq 2 ]
	done <<-'END'
		nvmlDeviceGetUUID uuid
		nvmlDeviceGetName name
		nvmlDeviceGetMemoryInfo,nvmlDeviceGetMemoryInfo_v2 mem_bytes
		nvmlDeviceGetMinorNumber devices
		nvmlDeviceGetMaxPcieLinkWidth pcie_width
		nvmlDeviceGetMaxPcieLinkGeneration pcie_gen
		nvmlDeviceGetNvLinkState nvlinks
		nvmlDeviceGetComputeRunningProcesses_v3 users
	END
}

@test "an NVML that does not start is a line on stderr, and the machine is described without it" {
	fake_driver nvidia-ml
	for call in nvmlInit_v2 nvmlDeviceGetCount_v2 nvmlDeviceGetPciInfo_v3; do
		FAKE_NVML_FAIL=$call run --separate-stderr -0 zn-topo -o json -k machine,gpu
		[ "${#lines[@]}" -eq 1 ]
		[[ $stderr == "zn-topo: NVML"*"Unknown Error" ]]
	done
}

@test "an old NVML gives what it has and says what it lacks" {
	fake_driver nvidia-ml-old
	run --separate-stderr -0 zn-topo -o json -k gpu
	[ "${#lines[@]}" -eq 2 ]
	[[ ${lines[0]} == *'"uuid":"GPU-fake-18"'*'"pci":"0000:18:00.0"'* ]]
	[ "$stderr" = "zn-topo: libnvidia-ml.so.1 lacks nvmlDeviceGetMaxPcieLinkGeneration" ]
}

@test "a file in place of the NVML library that is none is a line on stderr" {
	mkdir "$BATS_TEST_TMPDIR/driver"
	echo nonsense >"$BATS_TEST_TMPDIR/driver/libnvidia-ml.so.1"
	LD_LIBRARY_PATH=$BATS_TEST_TMPDIR/driver run --separate-stderr -0 zn-topo -o json -k machine
	[[ $stderr == "zn-topo: can't open the NVIDIA library: "* ]]
}

# ---- what goes wrong ---------------------------------------------------------------------------

# Exit code $1 and the one sentence $2 for machine $3.
refused() {
	run --separate-stderr "-$1" zn-topo -o json -f "$3"
	[ -z "$output" ]
	[ "$stderr" = "zn-topo: $2" ] || { echo "$stderr"; false; }
}

@test "a machine that is none is refused in one sentence" {
	cd "$BATS_TEST_TMPDIR" || return
	m=$machines/2numa-gpu-nic/machine.xml
	echo hello >text
	: >empty
	echo '<?xml version="1.0"?><foo/>' >foo.xml
	sed 's/<topology version="2.0"/<topology version="3.0"/' "$m" >three.xml
	head -c 4000 "$m" >cut.xml
	mkdir bare
	mkfifo fifo
	refused 71 "can't read machine 'gone': No such file or directory" gone
	refused 65 "'text' is no hwloc XML file" text
	refused 65 "'empty' is no hwloc XML file" empty
	refused 65 "'foo.xml' is no hwloc XML file" foo.xml
	refused 65 "'three.xml' was written by hwloc 3; this program can read up to hwloc 2" three.xml
	refused 65 "'cut.xml' is damaged or only a part of an hwloc XML file" cut.xml
	refused 65 "directory 'bare' holds no sys/devices/system" bare
	refused 65 "machine 'fifo' is neither a file nor a directory" fifo
}

@test "a recording of which hwloc dies costs a sentence" {
	sed '0,/complete_cpuset="0x00000001"/s//complete_cpuse="0x00000001"/' \
		"$machines/2numa-gpu-nic/machine.xml" >"$BATS_TEST_TMPDIR/deadly.xml"
	run --separate-stderr -65 zn-topo -o json -f "$BATS_TEST_TMPDIR/deadly.xml"
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "zn-topo: '$BATS_TEST_TMPDIR/deadly.xml' is damaged"* ]]
}

@test "a mock has up to 128 GPUs, each at an address of its own" {
	local list=$BATS_TEST_TMPDIR/addresses
	for mock in 17 128:t4 128:h100; do
		zn-topo --mock "$mock" -k gpu,nic -o csv --fields pci --no-heading | grep . >"$list"
		[ "$(grep -cE '^[0-9a-f]{4}:[0-9a-f]{2}:00\.0$' "$list")" -eq "$(grep -c '' "$list")" ]
		[ -z "$(sort "$list" | uniq -d)" ]
	done
	[ "$(zn-topo --mock 128:t4 -k gpu -o json | grep -c '')" -eq 128 ]
}

@test "a mock that is none is refused with what there is" {
	run --separate-stderr -64 zn-topo --mock 4:gtx
	[ "$stderr" = "zn-topo: unknown mock GPU 'gtx'; there are h100, a100, v100, l40s, a10g, t4, mi300x" ]
	run --separate-stderr -64 zn-topo --mock 129
	[ "$stderr" = "zn-topo: mock GPUs '129' are more than 128" ]
	ZENITH_MOCK_GPUS=eight run --separate-stderr -64 zn-topo
	[ "$stderr" = "zn-topo: mock GPUs 'eight' are not N or N:MODEL" ]
}

@test "an unknown kind, two machines at once and an operand are usage errors" {
	run --separate-stderr -64 zn-topo -k gpu,disk
	[ "${stderr_lines[0]}" = "zn-topo: unknown kind 'disk'; there are machine,numa,cpu,gpu,nic,nvme,link,node" ]
	run -64 zn-topo -f x --mock 2
	run -64 zn-topo gpu
}

@test "names with control bytes do not reach the terminal" {
	sed 's/HostName" value="two-socket"/HostName" value="two\&#10;so\&#9;cket"/' \
		"$machines/2numa-gpu-nic/machine.xml" >"$BATS_TEST_TMPDIR/evil.xml"
	run -0 zn-topo -f "$BATS_TEST_TMPDIR/evil.xml" -o table
	[ "${lines[0]}" = "two?so?cket: Example 2S, x86_64, 6.1.0" ]
}

@test "the manual page lists every key of every kind" {
	zn-topo --fields=help | awk '/^[a-z]+: / { print ".Ss " substr($1, 1, length($1) - 1) }
		/^  / { print ".It Cm " $1 }' >"$BATS_TEST_TMPDIR/keys"
	awk '/^\.Sh/ { on = $2 == "FIELDS" } on && /^\.(Ss|It)/' "$BATS_TEST_DIRNAME/../man/zn-topo.1" |
		diff "$BATS_TEST_TMPDIR/keys" -
}
