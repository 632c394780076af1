#!/usr/bin/env bats
# zn-topo --audit: who holds a GPU and runs in the wrong place, and whether the command that it names mends it.
# alone: it looks at every process of the machine, other tests' jobs too
load queue.bash

# Two mock NUMA nodes over at least two CPUs; sets here and there, a CPU of each.
two_nodes() {
	[ "$(nproc)" -ge 2 ] || skip "one CPU leaves no wrong place"
	here=$(zn-topo -k numa -o csv --fields cpus --no-heading | tr -d '"' | sed -n '1s/[-,].*//; 1p')
	there=$(zn-topo -k numa -o csv --fields cpus --no-heading | tr -d '"' | sed -n '2s/[-,].*//; 2p')
}
# A job on gpu 0, one process alone, that runs until it is cancelled, and says who it is.
holder() {
	zn-submit -g 1 --output "$dir/pid" -- /bin/sh -c 'echo $$; exec sleep 300' >/dev/null
	until_true has_lines 1 pid
	pid=$(cat pid)
}
verdict() { zn-topo --audit -o json; }
of() { sed -n 's/.*"'"$1"'":\("[^"]*"\|[^,"}]*\).*/\1/p' | tr -d '"'; }

@test "a job that zn-schedd placed is right, and exits 0" {
	holder
	run -0 verdict
	[ "${#lines[@]}" -eq 1 ]
	[ "$(of pid <<<"$output")" = "$pid" ] && [ "$(of job <<<"$output")" = 1 ]
	[ "$(of ok <<<"$output")" = true ]
	[ "$(of verdict <<<"$output")" = "runs next to gpu 0 on numa node 0" ]
	[ -z "$(of mend <<<"$output")" ]
}

@test "one that was moved away is wrong: the sentence says where it is, and the command mends it" {
	two_nodes
	holder
	taskset -pc "$there" "$pid" >/dev/null
	run -1 verdict
	[ "$(of verdict <<<"$output")" = "runs on cpus $there, away from gpu 0 on numa node 0" ]
	mend=$(of mend <<<"$output")
	[[ $mend == "zn-pin --gpu 0 --pid $pid"* ]]
	$mend
	run -0 verdict
	[ "$(of ok <<<"$output")" = true ]
}

@test "a child that went elsewhere is found, and so is a thread" {
	two_nodes
	zn-submit -g 1 --output /dev/null -- python3 -c "
import os, threading, time
def away():
    os.sched_setaffinity(threading.get_native_id(), {$there})
    open('$dir/there', 'w').close()
    time.sleep(300)
if os.fork() == 0:
    threading.Thread(target=away, daemon=True).start()
while not os.path.exists('$dir/go'): time.sleep(0.05)" >/dev/null
	until_true exists there
	run -1 verdict
	[ "$(of processes <<<"$output")" -eq 2 ]
	[[ $(of verdict <<<"$output") == "its child "*" (python3) may run on cpus $here"*"$there, also away from gpu 0 on numa node 0" ]]
	[[ $(of mend <<<"$output") == *" --tree" ]]
	touch go
}

@test "its memory is counted by NUMA node" {
	zn-submit -g 1 --output /dev/null -- python3 -c "
import os, time
x = bytearray(os.urandom(1 << 20)) * 96
open('$dir/there', 'w').close()
while not os.path.exists('$dir/go'): time.sleep(0.05)" >/dev/null
	until_true exists there
	verdict | python3 -c '
import json, sys
v = json.loads(sys.stdin.readline())
total = sum(m["mem_bytes"] for m in v["memory"])
assert 96 << 20 <= total < 200 << 20, total
assert "far_bytes" not in v, "a mock node is not the kernel'"'"'s"'
	touch go
}

@test "a process outside the queue that the driver names is judged too" {
	mkdir driver && ln -s "$B/tests/nvidia-ml.so" driver/libnvidia-ml.so.1
	unset ZENITH_MOCK_GPUS
	LD_LIBRARY_PATH=$dir/driver FAKE_NVML_PID=$$ zn-topo -k gpu -o json >gpus
	grep -q "\"pid\":$$" gpus # what the fake driver says
	LD_LIBRARY_PATH=$dir/driver FAKE_NVML_PID=$$ zn-topo --audit -o json >found || [ $? -eq 1 ]
	grep -q "\"kind\":\"verdict\",\"pid\":$$," found
}

@test "nobody holds a GPU: nothing is said but on a terminal, and that is no error" {
	unset ZENITH_MOCK_GPUS
	run --separate-stderr -0 zn-topo --audit --mock 2 -o json
	[ -z "$output" ] && [ -z "$stderr" ]
	run --separate-stderr -0 zn-topo --audit --mock 2 -o table
	[ -z "$output" ] && [[ $stderr == *"no process that can be seen holds a GPU"* ]]
}

@test "--audit goes with no file and no kind" {
	for o in "-f /" "-m" "-k gpu"; do
		# shellcheck disable=SC2086
		run --separate-stderr -64 zn-topo --audit $o
		[[ ${stderr_lines[0]} == "zn-topo: --audit "* ]]
	done
}
