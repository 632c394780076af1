#!/usr/bin/env bats
# zn-gpu: what GPUs do now, through the real code and a driver library of our own.
load queue.bash

# The dynamic linker finds our fake library; its two GPUs are in the order of the bus 1, 0.
fake_driver() {
	unset ZENITH_MOCK_GPUS
	mkdir -p driver
	ln -sf "$B/tests/$1.so" driver/libnvidia-ml.so.1
	export LD_LIBRARY_PATH=$dir/driver FAKE_NVML_PCI=0000:18:00.0,0000:22:00.0
}

# The Python expression of r, the list of records in the file $1, is true.
holds() {
	python3 - "$1" "$2" <<-'PY'
		import json, sys
		r = [json.loads(line) for line in open(sys.argv[1])]
		if not eval(sys.argv[2]):
		    print(sys.argv[2], "does not hold of", *r, sep="\n")
		    sys.exit(1)
	PY
}

# ---- list --------------------------------------------------------------------------------------

@test "a machine without GPUs has no records, and says so on a terminal's table alone" {
	fake_driver nvidia-ml
	FAKE_NVML_GPUS=0 run --separate-stderr -0 zn-gpu -o json
	[ -z "$output$stderr" ]
	FAKE_NVML_GPUS=0 run --separate-stderr -0 zn-gpu -o table
	[ -z "$output" ] && [ "$stderr" = "zn-gpu: there is no GPU here" ]
}

@test "without a driver zn-gpu does not wait between looks, and opens no library of a GPU" {
	unset ZENITH_MOCK_GPUS
	run ! grep -E 'libcuda|nvidia|rocm|drm' <(ldd "$B/zn-gpu")
	command -v strace >/dev/null || skip "no strace"
	ASAN_OPTIONS=detect_leaks=0 strace -f -o calls -e trace=nanosleep,clock_nanosleep,execve zn-gpu
	grep -q execve calls # it was traced
	run ! grep nanosleep calls
}

@test "made up GPUs are listed, and have no figures" {
	zn-gpu --mock 2:a100 -o json >gpus
	holds gpus 'len(r) == 2 and all(g["kind"] == "gpu" and g["name"] == "NVIDIA A100-SXM4-80GB" for g in r)'
	holds gpus 'not [k for g in r for k in g if k.endswith(("_pct", "_w", "_c", "_s", "_now")) or k in ("users", "mem_used_bytes", "ecc")]'
	zn-gpu -o json | head -1 | grep -q '"uuid":"GPU-mock-h100-0000"' # from the environment
	run --separate-stderr -64 zn-gpu --mock x
	[ "$stderr" = "zn-gpu: mock GPUs 'x' are not N or N:MODEL" ]
}

@test "every figure that the driver has is in the record, in the unit that its key names" {
	fake_driver nvidia-ml
	export FAKE_NVML_LINKS=switch FAKE_NVML_SET=fan=35,throttle=0x24,link_down.1=4,power.1=90049,temperature.1=33
	zn-gpu -o json >gpus
	holds gpus '[g["gpu"] for g in r] == [0, 1] and [g["uuid"] for g in r] == ["GPU-fake-18", "GPU-fake-22"]'
	holds gpus 'r[0]["kernel_active_pct"] == 97 and r[0]["mem_active_pct"] == 41'
	holds gpus '[g["power_w"] for g in r] == [312.5, 90.0] and r[0]["power_limit_w"] == 700'
	holds gpus '[g["temperature_c"] for g in r] == [61, 33] and r[0]["temperature_slowdown_c"] == 95 and r[0]["fan_pct"] == 35'
	holds gpus '(r[0]["clock_mhz"], r[0]["clock_max_mhz"], r[0]["mem_clock_mhz"]) == (1980, 1980, 2619)'
	holds gpus 'r[0]["throttle_reasons"] == ["sw_power_cap", "sw_thermal_slowdown"]'
	holds gpus '(r[0]["ecc"], r[0]["ecc_corrected"], r[0]["ecc_uncorrected"]) == (True, 3, 0)'
	holds gpus '(r[0]["repair_pending"], r[0]["repair_failed"]) == (False, False)'
	holds gpus '(r[0]["pcie_gen"], r[0]["pcie_gen_now"], r[0]["pcie_width"], r[0]["pcie_width_now"]) == (5, 5, 16, 16)'
	holds gpus '(r[0]["pcie_rx_bytes_s"], r[0]["pcie_tx_bytes_s"]) == (3 * 10**9, 10**9)'
	holds gpus '[(g["nvlinks"], g["nvlinks_of"]) for g in r] == [(18, 18), (17, 18)]'
	holds gpus 'abs(r[0]["nvlink_tx_bytes_s"] / 2**30 - 1) < 0.01 and abs(r[0]["nvlink_rx_bytes_s"] / 2**31 - 1) < 0.01'
	holds gpus 'r[0]["mem_bytes"] == 80 << 30 and r[0]["mem_used_bytes"] == 424 << 20 and r[0]["mig"] is False'
	holds gpus 'not any(k in g for g in r for k in ("sm_pct", "tensor_pct", "dram_pct", "parts", "users", "lost"))'
}

@test "GPM gives activity and traffic between two looks, where the device has it; one look has none" {
	fake_driver nvidia-ml
	export FAKE_NVML_LINKS=switch FAKE_NVML_SET=gpm.0=1
	zn-gpu -o json >gpus
	holds gpus '(r[0]["sm_pct"], r[0]["tensor_pct"], r[0]["dram_pct"]) == (83.5, 42, 60.5) and "sm_pct" not in r[1]'
	holds gpus '(r[0]["pcie_rx_bytes_s"], r[0]["pcie_tx_bytes_s"]) == (200 << 20, 100 << 20) and r[1]["pcie_rx_bytes_s"] == 3 * 10**9'
	holds gpus '(r[0]["nvlink_rx_bytes_s"], r[0]["nvlink_tx_bytes_s"]) == (3000 << 20, 4000 << 20)'
	zn-gpu -q -o json >gpus
	holds gpus '"sm_pct" not in r[0] and "pcie_rx_bytes_s" not in r[0] and r[0]["kernel_active_pct"] == 97'
	FAKE_NVML_LINKS='' FAKE_NVML_SET=gpm=1,tensor=-1 zn-gpu -o json >gpus
	holds gpus '"nvlink_rx_bytes_s" not in r[0] and "tensor_pct" not in r[0] and r[0]["sm_pct"] == 83.5'
}

@test "a call that fails, or that the device does not support, leaves its keys out and the rest in" {
	fake_driver nvidia-ml
	while read -r call keys; do
		FAKE_NVML_FAIL=$call FAKE_NVML_SET=fan=20,throttle=4 FAKE_NVML_LINKS=switch zn-gpu -o json >gpus
		for k in $keys; do run ! grep -q "\"$k\"" gpus; done
		[ "$(grep -v '"lost"' gpus | grep -c '"pci":.*"clock_\|"pci":.*"power_')" -eq 2 ] || { echo "$call"; cat gpus; false; }
	done <<-'END'
		nvmlDeviceGetUtilizationRates kernel_active_pct mem_active_pct
		nvmlDeviceGetPowerUsage power_w
		nvmlDeviceGetEnforcedPowerLimit power_limit_w
		nvmlDeviceGetTemperature temperature_c
		nvmlDeviceGetTemperatureThreshold temperature_slowdown_c
		nvmlDeviceGetFanSpeed fan_pct
		nvmlDeviceGetClockInfo clock_mhz mem_clock_mhz
		nvmlDeviceGetMaxClockInfo clock_max_mhz
		nvmlDeviceGetCurrentClocksThrottleReasons throttle_reasons
		nvmlDeviceGetEccMode ecc ecc_corrected ecc_uncorrected
		nvmlDeviceGetTotalEccErrors ecc_corrected ecc_uncorrected
		nvmlDeviceGetRemappedRows repair_pending repair_failed
		nvmlDeviceGetCurrPcieLinkGeneration pcie_gen_now
		nvmlDeviceGetCurrPcieLinkWidth pcie_width_now
		nvmlDeviceGetPcieThroughput pcie_rx_bytes_s pcie_tx_bytes_s
		nvmlDeviceGetFieldValues nvlink_rx_bytes_s nvlink_tx_bytes_s
		nvmlDeviceGetMemoryInfo,nvmlDeviceGetMemoryInfo_v2 mem_used_bytes mem_bytes
		nvmlDeviceGetMigMode mig
	END
	for call in nvmlGpmQueryDeviceSupport nvmlGpmSampleAlloc nvmlGpmSampleGet nvmlGpmMetricsGet; do
		FAKE_NVML_FAIL=$call FAKE_NVML_SET=gpm=1 zn-gpu -o json >gpus
		holds gpus 'len(r) == 2 and all("sm_pct" not in g and g["power_w"] for g in r)'
	done
	FAKE_NVML_SET=power=-1,temperature=-1,ecc=-1 zn-gpu -o json >gpus
	holds gpus 'not any(k in g for g in r for k in ("power_w", "temperature_c", "ecc", "ecc_corrected"))'
}

@test "a driver that is old has what it has; one that does not start is a line on stderr" {
	fake_driver nvidia-ml-old
	zn-gpu -o json >gpus
	holds gpus 'len(r) == 2 and r[0]["mem_used_bytes"] == 1 << 30 and "power_w" not in r[0]'
	fake_driver nvidia-ml
	FAKE_NVML_FAIL=nvmlInit_v2 run --separate-stderr -0 zn-gpu -o json
	[ -z "$output" ] && [ "$stderr" = "zn-gpu: NVML does not start: Unknown Error" ]
	echo nonsense >driver/none && ln -sf none driver/libnvidia-ml.so.1
	run --separate-stderr -0 zn-gpu -o json
	[ -z "$output" ] && [[ $stderr == "zn-gpu: can't open the NVIDIA library: "* ]]
}

@test "a device that is lost says why, and no figure of it is made up" {
	fake_driver nvidia-ml
	echo 1 >lost
	FAKE_NVML_LOST=$dir/lost zn-gpu -o json >gpus
	holds gpus 'len(r) == 2 and r[1]["lost"] == "GPU is lost" and r[1]["uuid"] == "GPU-fake-22" and "lost" not in r[0]'
	holds gpus 'not any(k in r[1] for k in ("power_w", "kernel_active_pct", "temperature_c", "ecc", "mem_used_bytes")) and r[0]["power_w"]'
}

@test "MIG instances are parts of their device" {
	fake_driver nvidia-ml
	FAKE_NVML_SET=mig.1=2 zn-gpu -o json >gpus
	holds gpus 'r[0]["mig"] is False and r[1]["mig"] is True and [p["part"] for p in r[1]["parts"]] == [1, 2]'
	holds gpus 'all(p["uuid"] and p["name"] and p["mem_bytes"] == 80 << 30 for p in r[1]["parts"])'
}

@test "the table fits 80 columns and names who uses the GPU, each user once" {
	fake_driver nvidia-ml
	FAKE_NVML_PID=$$ zn-gpu -q -o table >table
	[ "$(awk 'length > 80' table | wc -l)" -eq 0 ]
	head -1 table | grep -qx 'GPU  NAME  *ACTIVE%  *USED  *MEM  *WATT  *TEMP  HELD BY'
	sed -n 2p table | grep -q "^  0  NVIDIA Fake 80GB  *97  424.0M  80.0G  312.5  *61  $(id -un)$"
}

@test "a process is named with its user, its command, its memory and its job" {
	fake_driver nvidia-ml
	ZENITH_JOB_ID=4711 sleep 300 3>&- &
	pid=$!
	until_true eval '[ "$(cat /proc/$pid/comm)" = sleep ]'
	FAKE_NVML_PID=$pid zn-gpu -q -o json >gpus
	env -u ZENITH_JOB_ID FAKE_NVML_PID=$$ zn-gpu -q -o json >mine
	kill "$pid"
	holds gpus "r[0]['users'] == [{'pid': $pid, 'job': 4711, 'mem_bytes': 512 << 20, 'user': '$(id -un)', 'command': 'sleep 300'}]"
	holds gpus "r[0]['held_by'] == ['$(id -un) (job 4711)']"
	holds mine "'job' not in r[0]['users'][0]"
}

@test "what a job started is the job's, also with an empty environment and a parent that is gone" {
	fake_driver nvidia-ml
	zn-submit --output /dev/null -- /bin/sh -c "setsid env -i sh -c 'echo \$\$ >$dir/pid.new; mv $dir/pid.new $dir/pid; exec sleep 300' &
		until [ -e $dir/go ]; do sleep 0.02; done" >/dev/null
	until_true exists pid
	FAKE_NVML_PID=$(cat pid) zn-gpu -o json >gpus
	touch go
	zn-queue show -o json 1 | grep -q '"confinement":"cgroup' || skip "no cgroups for jobs here: only the environment tells"
	holds gpus "r[0]['users'][0]['job'] == 1"
}

@test "in a container a number that the host has for a process is not taken for ours" {
	unshare --pid --fork --mount-proc true 2>/dev/null || skip "no namespaces here"
	fake_driver nvidia-ml
	unshare --pid --fork --mount-proc sh -c 'FAKE_NVML_PID=1 zn-gpu -o json' >gpus
	holds gpus "r[0]['users'] == [{'pid': 1, 'mem_bytes': 512 << 20}] and r[0]['held_by'] == ['pid 1']"
	[ "$(id -u)" -eq 0 ] || skip "only root makes devices"
	unshare --pid --mount --fork --mount-proc sh -c 'mount -t tmpfs none /dev && mknod /dev/null c 1 3 && : >/dev/nvidia0 &&
		exec 7</dev/nvidia0 && FAKE_NVML_PID=1 zn-gpu -o json' >gpus
	holds gpus "r[0]['users'][0]['user'] == 'root' and r[0]['users'][0]['command'].startswith('sh -c')"
}

# ---- watch ---------------------------------------------------------------------------------------

@test "watch samples all devices at moments that do not drift, with the driver opened once" {
	fake_driver nvidia-ml
	FAKE_NVML_OPENED=$dir/opened zn-gpu watch -i 0.1 -n 6 -o json >samples
	holds samples '[(s["kind"], s["gpu"]) for s in r] == [("sample", 0), ("sample", 1)] * 6'
	# each moment is a whole number of intervals behind the first, and as late as the kernel wakes us; never early
	holds samples 'all(r[i]["time_s"] - r[2]["time_s"] > 0.1 * (i - 2) / 2 - 0.05 for i in range(2, 12, 2))'
	holds samples 'r[0]["power_w"] == 312.5 and r[0]["uuid"] == "GPU-fake-18" and "name" not in r[0]'
	[ "$(grep -c . opened)" -eq 2 ] # once to measure, and once for what the machine is
}

@test "watch has activity and traffic from the first sample on, and they go on" {
	fake_driver nvidia-ml
	FAKE_NVML_SET=gpm=1 FAKE_NVML_LINKS=switch zn-gpu watch -i 0.05 -n 3 -o json >samples
	holds samples 'len(r) == 6 and all((s["sm_pct"], s["pcie_rx_bytes_s"]) == (83.5, 200 << 20) for s in r)'
	FAKE_NVML_LINKS=switch zn-gpu watch -i 0.05 -n 3 -o json >samples
	holds samples 'len(r) == 6 and all(abs(s["nvlink_tx_bytes_s"] / 2**30 - 1) < 0.05 for s in r)'
}

@test "a device that is lost while it is watched is told once, the others go on, and so does it when it is back" {
	fake_driver nvidia-ml
	export FAKE_NVML_LOST=$dir/lost
	zn-gpu watch -i 0.02 -o json >samples 3>&- &
	pid=$!
	until_true has_lines 4 samples
	echo 1 >lost.new && mv lost.new lost
	until_true grep -q '"event":"lost"' samples
	n=$(grep -c . samples)
	until_true has_lines $((n + 5)) samples
	rm lost
	until_true grep -q '"event":"back"' samples
	n=$(grep -c . samples)
	until_true has_lines $((n + 4)) samples
	kill -TERM "$pid"
	wait "$pid"
	[ "$(tail -c 1 samples | od -An -c | tr -d ' ')" = '\n' ]
	grep gpu_event samples >events
	holds events '[(e["event"], e["gpu"], e["uuid"]) for e in r] == [("lost", 1, "GPU-fake-22"), ("back", 1, "GPU-fake-22")]'
	holds events 'r[0]["reason"] == "GPU is lost" and "reason" not in r[1] and r[0]["pci"] == "0000:22:00.0"'
	sed -n '/"lost"/,/"back"/p' samples | sed '1d;$d' >between
	holds between 'len(r) >= 5 and all(s["gpu"] == 0 and s["power_w"] for s in r)'
	holds samples 'r[-1]["kind"] == "sample" and {s["gpu"] for s in r[-3:]} == {0, 1}'
}

@test "a driver that answers nothing any more is as good as lost" {
	fake_driver nvidia-ml
	printf '#!/bin/sh\nexec zn-gpu watch -i 0.02 -n 40 -o json\n' >it
	chmod +x it
	FAKE_NVML_DEAD=$dir/dead ./it >samples 3>&- &
	pid=$!
	until_true has_lines 4 samples
	touch dead
	until_true eval '[ "$(grep -c "\"event\":\"lost\"" samples)" -eq 2 ]'
	wait "$pid"
	holds samples '[e["reason"] for e in r if e["kind"] == "gpu_event"] == ["Unknown Error"] * 2'
}

@test "watch ends with its reader, with status 0 on SIGTERM and SIGINT, and with whole records" {
	fake_driver nvidia-ml
	run bash -c 'timeout 20 zn-gpu watch -i 0.02 -o json | head -n 1; exit "${PIPESTATUS[0]}"'
	[ "$status" -eq 141 ]
	[[ $output == '{"kind":"sample",'*'}' ]]
	for signal in TERM INT; do
		rm -f samples
		# a shell's background job ignores SIGINT
		env --default-signal=INT zn-gpu watch -i 300 -o msgpack >samples 3>&- &
		pid=$!
		until_true test -s samples
		kill -$signal "$pid"
		wait "$pid"
		[ "$(zn-fmt -o json <samples | grep -c '"power_w":312.5')" -eq 2 ]
	done
}

@test "made up GPUs can be watched, and have no figures" {
	zn-gpu watch --mock 2 -i 0.02 -n 2 -o json >samples
	holds samples '[set(s) for s in r] == [{"kind", "time_s", "gpu", "uuid"}] * 4'
}

@test "watch takes no interval that is none" {
	for o in "-i 0" "-i 2d" "-n 0" "-i x" here; do
		# shellcheck disable=SC2086
		run --separate-stderr -64 zn-gpu watch $o
		[ -z "$output" ]
	done
	[ "${stderr_lines[0]}" = "zn-gpu: unexpected operand 'here'" ]
}

# ---- health --------------------------------------------------------------------------------------

@test "health gives one verdict for each device, and says with its status whether one is bad" {
	fake_driver nvidia-ml
	run -0 zn-gpu health -o json
	[ "${#lines[@]}" -eq 2 ]
	[[ ${lines[0]} == *'"level":"ok","what":"nothing is known to be wrong"}' ]]
	FAKE_NVML_SET=pcie_width.1=8 zn-gpu health -o json >warned
	holds warned '[h["level"] for h in r] == ["ok", "warn"] and r[1]["what"] == "its PCIe link runs with 8 of 16 lanes"'
	holds warned 'r[1]["mend"] == "seat it again" and r[1]["findings"][0]["level"] == "warn" and "findings" not in r[0]'
	FAKE_NVML_SET=uncorrected.0=1 run -1 zn-gpu health -o json
	[[ ${lines[0]} == *'"gpu":0,"uuid":"GPU-fake-18"'*'"level":"bad","what":"1 memory errors could not be corrected'* ]]
}

@test "memory that no process holds is bad; held by one, or where the driver names none, it is not" {
	fake_driver nvidia-ml
	export FAKE_NVML_SET=used_mib.0=20480
	zn-gpu health -o json >found || [ $? -eq 1 ]
	holds found 'r[0]["level"] == "bad" and r[0]["what"] == "20.0G of its memory is held by no process" and r[1]["level"] == "ok"'
	FAKE_NVML_PID=$$ run -0 zn-gpu health -o json
	FAKE_NVML_FAIL=nvmlDeviceGetComputeRunningProcesses_v3 run -0 zn-gpu health -o json
	fake_driver nvidia-ml-old
	run -0 zn-gpu health -o json
}

@test "a device that is lost is bad" {
	fake_driver nvidia-ml
	echo 0 >lost
	FAKE_NVML_LOST=$dir/lost zn-gpu health -o json >found || [ $? -eq 1 ]
	holds found 'r[0]["level"] == "bad" and r[0]["what"] == "its driver has lost it: GPU is lost" and r[1]["level"] == "ok"'
}

@test "what was wrong for a moment is no finding" {
	fake_driver nvidia-ml
	echo 0 >lost
	FAKE_NVML_LOST_ONCE=$dir/lost run -0 zn-gpu health -o json
	[ ! -e lost ]
	[[ ${lines[0]} == *'"level":"ok"'* ]]
	echo 0 >lost
	FAKE_NVML_LOST_ONCE=$dir/lost run -1 zn-gpu health -q -o json
}

@test "zn-fmt gives the records of zn-gpu the columns that zn-gpu gives them" {
	fake_driver nvidia-ml
	for verb in "watch -n 1" health; do
		# shellcheck disable=SC2086
		zn-gpu $verb -o csv | sed 's/^[0-9]\{10\}[0-9.]*,//' >ours # without the time
		# shellcheck disable=SC2086
		zn-gpu $verb -o msgpack | zn-fmt -o csv | sed 's/^[0-9]\{10\}[0-9.]*,//' | diff ours -
	done
}
