#!/usr/bin/env bats
# zn-queue adopt: a process that somebody started by himself becomes a job.
load queue.bash

# bare SHELL-TEXT: starts it outside the queue, given GPUs 1 and 2 by its environment; $pid is it.
bare() {
	CUDA_VISIBLE_DEVICES=1,2 bash -c "$1" >"$dir/bare.out" 2>&1 3>&- &
	pid=$!
	until_true is_program bash
}
is_program() { [ "$(readlink "/proc/$pid/exe")" = "$(command -v "$1")" ]; }
# A parent and a child of it, which say who they are.
pair='sleep 300 & echo $! >child; echo $$ >parent; wait'
two() { bare "$pair"; until_true has_lines 1 parent; child=$(cat child); }
# own_spool with|without: where what was tried with cgroups is tried again without.
own_spool() {
	export ZENITH_SPOOL=$dir/spool.$1
	mkdir -m 700 "$ZENITH_SPOOL"
	[ "$1" = with ] || without_cgroups "$ZENITH_SPOOL"
	rm -f parent child go there
}
without_cgroups() { zn-noded --detach --spool "$1" --confine subreaper; }
tells_exits() { [ "$(printf '6.15\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.15 ]; }
stopped() { grep -q 'frozen 1' "$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)$(sed -n 's/^0:://p' "/proc/$1/cgroup")/cgroup.events" 2>/dev/null || in_state T "$1"; }
runs() { ! stopped "$1"; }

@test "it is listed with its GPUs, which nobody else gets, and show and why say what it was" {
	two
	run -0 --separate-stderr zn-queue adopt "$pid" --name night -t 1h
	[ "$output" = 1 ]
	[ "$(state 1)" = RUNNING ] && [ "$(field name 1)" = night ] && [ "$(field adopted_pid 1)" = "$pid" ]
	[ "$(field time_limit_s 1)" = 3600.0 ] && [ "$(field user 1)" = "$(id -un)" ]
	[[ $(zn-queue show -o json 1) == *'"gpus":[1,2]'* ]]
	zn-queue show -o table 1 | grep -qx "adopted        process $pid, while it ran"
	zn-queue show -o table 1 | grep -q "^command        bash -c sleep 300 "
	run -0 zn-queue why -o table 1
	[ "$output" = "job 1 is RUNNING: it was process $pid, outside the queue, until it was adopted" ]
	zn-submit -g 6 --wait --output rest -- sh -c 'echo $CUDA_VISIBLE_DEVICES'
	[ "$(cat rest)" = 0,3,4,5,6,7 ]
	zn-submit -g 7 --output /dev/null -- true
	zn-queue why -o table 3 | grep -q 'needs 7 gpus; 6 of 8 are free'
	ZENITH_SPOOL=$dir/other zn-queue adopt $$ --gpus 1 2>refused || [ $? -eq 1 ]
	grep -q "not adopted: gpu 1 is held by pid .* outside this queue" refused
	ZENITH_SPOOL=$dir/other zn-schedd --stop
	zn-queue cancel 1
	run -1 zn-queue wait 1 3
	[ "$(state 3)" = COMPLETED ]
}

@test "a cancel ends it with what descends from it, with and without cgroups" {
	for how in with without; do
		own_spool $how
		two
		zn-queue adopt "$pid"
		zn-queue cancel --grace 20 1
		run -1 timeout 20 zn-queue wait 1
		ended "$pid" && ended "$child"
		[ "$(state 1)" = CANCELLED ]
		[ $how = with ] || [[ $(field confinement 1) == "adopted, subreaper; what leaves its parent may be missed" ]]
		zn-schedd --stop
	done
}

@test "what it starts later is the job's, too" {
	bare 'until [ -e go ]; do sleep 0.05; done; sleep 300 & echo $! >child; exit 0'
	zn-queue adopt "$pid"
	touch go
	run timeout 20 zn-queue wait 1
	until_true has_lines 1 child
	until_true ended "$(cat child)"
}

@test "suspend stops all of it, resume lets it go on, with and without cgroups" {
	for how in with without; do
		own_spool $how
		two
		zn-queue adopt "$pid"
		zn-queue suspend 1
		until_true stopped "$pid"
		until_true stopped "$child"
		zn-queue resume 1
		until_true runs "$pid"
		until_true runs "$child"
		zn-queue cancel --grace 0 1
		run -1 zn-queue wait 1
		zn-schedd --stop
	done
}

@test "its time limit counts from the adoption" {
	bare 'until [ -e go ]; do sleep 0.05; done'
	zn-queue adopt "$pid" -t 0.5
	run -1 timeout 20 zn-queue wait 1
	[ "$(state 1)" = FAILED ] && [ "$(field reason 1)" = "time limit" ]
	ended "$pid"
}

@test "its CPU time and its peak memory are counted, with and without cgroups" {
	for how in with without; do
		own_spool $how
		python3 -c "
import os, time
x = b'x' * (64 << 20)
open('there', 'w').close()
while not os.path.exists('go'): pass
time.sleep(1.5)" 3>&- &
		pid=$!
		until_true exists there
		zn-queue adopt "$pid" --gpus ''
		until_true busy "$pid" 100 # ticks
		touch go
		timeout 20 zn-queue wait 1 || :
		[ "$(field max_rss_bytes 1)" -ge $((64 << 20)) ]
		awk -v s="$(field cpu_s 1)" 'BEGIN { exit !(s > 0.3 && s < 60) }'
		zn-schedd --stop
	done
}
busy() { [ "$(sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f12)" -ge "$2" ]; }

# Started by a parent that does not wait for it, so that its exit stays to be seen.
@test "an exit code that the kernel still knows is the job's" {
	python3 -c "
import os, subprocess, time
p = subprocess.Popen(['bash', '-c', 'until [ -e go ]; do sleep 0.05; done; exit 3'])
open('pid', 'w').write('%d\n' % p.pid)
while not os.path.exists('over'): time.sleep(0.05)" 3>&- &
	until_true has_lines 1 pid
	pid=$(cat pid)
	until_true is_program bash
	zn-queue adopt "$pid"
	touch go
	run -1 timeout 20 zn-queue wait 1
	[ "$(state 1)" = FAILED ] && [ "$(field exit_code 1)" = 3 ]
	touch over
}

@test "one that its parent waited for is known from Linux 6.15 on, and else COMPLETED and said to be unknown" {
	bare 'until [ -e go ]; do sleep 0.05; done; exit 3'
	zn-queue adopt "$pid"
	touch go
	timeout 20 zn-queue wait 1 || :
	if tells_exits || [ "$(field exit_code 1)" ]; then
		[ "$(state 1)" = FAILED ] && [ "$(field exit_code 1)" = 3 ]
	else
		[ "$(state 1)" = COMPLETED ] && [ "$(field reason 1)" = "it was adopted: its exit code is unknown" ]
	fi
}

@test "a file that it writes to is shown by log" {
	bare 'echo hello; until [ -e go ]; do sleep 0.05; done; echo 100%'
	until_true has_lines 1 bare.out
	zn-queue adopt "$pid"
	[ "$(zn-queue log 1)" = hello ]
	touch go
	[ "$(timeout 20 zn-queue log -f 1)" = $'hello\n100%' ]
	sleep 300 3>&- >/dev/null &
	pid=$!
	until_true is_program sleep
	zn-queue adopt "$pid"
	run --separate-stderr -1 zn-queue log 2
	[ "$stderr" = "zn-queue: job 2 was adopted: its output goes to no file" ]
}

@test "zn-schedd killed: its successor takes the job back" {
	two
	zn-queue adopt "$pid"
	started=$(field start_s 1)
	kill -KILL "$(pid_of zn-schedd)"
	zn-submit --wait --output /dev/null -- true
	[ "$(state 1)" = RUNNING ] && [ "$(field start_s 1)" = "$started" ] && [ "$(field attempt 1)" = 1 ]
	ended "$pid" && return 1
	zn-queue cancel --grace 20 1
	run -1 timeout 20 zn-queue wait 1
	ended "$pid"
}

@test "the agent killed: the job is ended, is lost, and does not run again" {
	two
	zn-queue adopt "$pid"
	kill -KILL "$(pid_of zn-noded | head -n 1)"
	run -1 timeout 60 zn-queue wait 1
	[ "$(state 1)" = FAILED ] && [ "$(field reason 1)" = "lost: the agent died" ]
	ended "$pid" && ended "$child"
	run --separate-stderr -1 zn-queue requeue 1
	[ "$stderr" = "zn-queue: job 1 is FAILED: it can't be run again: it was running when it was adopted" ]
}

@test "its shepherd killed, with and without cgroups: the job is ended, and is lost" {
	for how in with without; do
		own_spool $how
		two
		zn-queue adopt "$pid"
		kill -KILL "$(pid_of zn-job-1)"
		run -1 timeout 60 zn-queue wait 1
		[[ $(field reason 1) == lost* ]]
		until_true ended "$pid"
		until_true ended "$child"
		zn-schedd --stop
	done
}

@test "agent and shepherd killed: the next agent ends what it finds in the log" {
	mkdir -m 700 "$ZENITH_SPOOL"
	without_cgroups "$ZENITH_SPOOL"
	two
	zn-queue adopt "$pid"
	kill -STOP "$(pid_of zn-job-1)" # so that it can't end the job itself
	shepherd=$(pid_of zn-job-1)
	kill -KILL "$(pid_of zn-noded | head -n 1)" "$shepherd"
	run -1 timeout 60 zn-queue wait 1
	[[ $(field reason 1) == lost* ]]
	ended "$pid" && ended "$child"
}

@test "what is part of a job, or not there, or not a process that could be one is refused with a sentence" {
	bare 'until [ -e go ]; do sleep 0.05; done'
	[ "$(zn-submit --output job.pid -g 1 -- sh -c 'echo $$; exec sleep 300')" = 1 ]
	until_true has_lines 1 job.pid
	run --separate-stderr -75 zn-queue adopt "$(cat job.pid)"
	[ "$stderr" = "zn-queue: gpu 0 is job 1's" ]
	run --separate-stderr -1 zn-queue adopt --gpus '' "$(cat job.pid)"
	[ "$stderr" = "zn-queue: process $(cat job.pid) was not adopted: process $(cat job.pid) is part of a job already" ]
	run --separate-stderr -75 zn-queue adopt "$pid" --gpus 0
	[ "$stderr" = "zn-queue: gpu 0 is job 1's" ]
	zn-queue adopt "$pid"
	run --separate-stderr -1 zn-queue adopt "$pid" --gpus 5
	[[ $stderr == *"process $pid is part of job "[0-9]*" already, or has a part of it below it" ]]
	run --separate-stderr -1 zn-queue adopt 4194304
	[ "$stderr" = "zn-queue: there is no process 4194304" ]
	run --separate-stderr -64 zn-queue adopt 1
	run --separate-stderr -64 zn-queue adopt --gpus 1
	printf '{"command":"true","adopt":{"pid":%d,"start_ticks":1}}\n' "$pid" >record
	run --separate-stderr -65 zn-submit --records <record
	[[ $stderr == *"a process that runs already can be given no command"* ]]
	printf '{"adopt":{"pid":%d,"start_ticks":1}}\n' "$pid" >record # a pid that was used again
	run --separate-stderr -1 zn-submit --records <record
	[[ $stderr == *"there is no process $pid any more"* ]]
	touch go
}

@test "somebody else's process is not adopted, and root may adopt everybody's" {
	[ "$(id -u)" -eq 0 ] || skip "only root can become another user"
	runuser -u nobody -- test -x "$B/zn-queue" || skip "nobody can't reach the build directory"
	chmod 755 "$dir"
	runuser -u nobody -- sleep 300 3>&- >/dev/null &
	until_true eval 'pid=$(pgrep -u nobody -x sleep | head -n 1); [ "$pid" ]'
	sleep 300 3>&- &
	own=$!
	mkdir -m 700 "$dir/theirs" && chown nobody "$dir/theirs"
	as_nobody() { runuser -u nobody -- env ZENITH_SPOOL="$dir/theirs/spool" "$@"; }
	run --separate-stderr -77 as_nobody "$B/zn-queue" adopt "$own" --gpus ''
	[ "$stderr" = "zn-queue: process $own is not yours" ]
	as_nobody "$B/zn-schedd" --stop
	zn-queue adopt "$pid"
	[ "$(field user 1)" = nobody ]
	zn-queue cancel --grace 20 1
	run -1 timeout 20 zn-queue wait 1
	ended "$pid"
	kill "$own"
}

@test "where the driver has lost a GPU, who holds another one still holds that" {
	mkdir driver && ln -s "$B/tests/nvidia-ml.so" driver/libnvidia-ml.so.1
	unset ZENITH_MOCK_GPUS
	sleep 600 3>&- &
	export LD_LIBRARY_PATH=$dir/driver FAKE_NVML_PID=$! FAKE_NVML_GONE=$dir/gone
	zn-topo -k gpu -o json | grep -q '"gpu":1,.*"users":\[{"pid":'"$FAKE_NVML_PID"
	zn-submit --wait --output /dev/null -- true # the agent knows both by now
	touch gone # the last in the driver's own order, which is the first on the bus
	[ "$(zn-topo -k gpu -o json | wc -l)" -eq 1 ]
	id=$(zn-submit --wait -g 1 --output /dev/null -- true)
	[ "$(zn-queue show -o json "$id" | sed 's/.*"gpus":\(\[[^]]*\]\).*/\1/')" = "[0]" ]
	zn-schedd --stop
	kill "$FAKE_NVML_PID"
}

@test "the driver says which GPUs it holds, whatever its environment says" {
	mkdir driver && ln -s "$B/tests/nvidia-ml.so" driver/libnvidia-ml.so.1
	unset ZENITH_MOCK_GPUS
	two
	export LD_LIBRARY_PATH=$dir/driver FAKE_NVML_PID=$child
	held=$(zn-topo -k gpu -o json | sed -n 's/.*"gpu":\([0-9]*\).*"users":\[{"pid":'"$child"'.*/\1/p')
	[ "$held" ]
	zn-submit -g 2 --output /dev/null -- true
	until_true eval 'zn-queue why -o table 1 | grep -q "gpu $held: pid $child of .*, outside the queue"'
	run -0 --separate-stderr zn-queue adopt "$pid"
	[ "$(zn-queue show -o json 2 | sed 's/.*"gpus":\(\[[^]]*\]\).*/\1/')" = "[$held]" ]
	zn-queue nodes -o json | grep -q '"held"' && return 1
	zn-queue cancel 2
	run -1 timeout 20 zn-queue wait 2
	ended "$child"
}
