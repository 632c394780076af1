#!/usr/bin/env bats
# zn-queue: see, explain and steer jobs.
load queue.bash

@test "a spool that was never used is an empty queue" {
	run -0 zn-queue -o json
	[ -z "$output" ]
	run -0 zn-queue history -o json
	[ -z "$output" ]
}

@test "more urgent jobs start first, then those that came first" {
	blocker -g 8 >/dev/null
	await RUNNING 1
	for p in 0 5 5 9; do zn-submit -p $p -g 8 --output /dev/null -- true; done
	touch go
	zn-queue wait 1 2 3 4 5
	order=$(zn-queue events -o json | sed -n 's/.*"event":"started".*"id":\([0-9]*\),.*/\1/p' | xargs)
	[ "$order" = "1 5 3 4 2" ]
}

@test "a job that does not fit lets the others by" {
	blocker -g 7 >/dev/null
	zn-submit -g 4 --output /dev/null -- true
	zn-submit -g 1 --output /dev/null -- true
	zn-queue wait 3
	[ "$(state 2)" = QUEUED ]
	touch go
	zn-queue wait 2
}

@test "why names what is missing, who is ahead, and the smallest change that would do" {
	blocker -g 7 >/dev/null
	await RUNNING 1
	zn-submit -g 4 -- true >/dev/null
	zn-submit -g 16 -- true >/dev/null
	run -0 zn-queue why -o table 2
	[ "${lines[0]}" = "job 2 is QUEUED: needs 4 gpus; 1 of 8 is free" ]
	[[ $output == *"with 1 gpu it would start now"* ]]
	run -0 zn-queue why -o table 3
	[[ $output == *"it can never start here: needs 16 gpus; the machine has 8"*"waiting before it: 1"* ]]
	touch go
}

@test "held jobs wait for release, and begin times for their moment" {
	zn-submit --hold --output /dev/null -- true
	zn-submit --begin +1s --output /dev/null -- true
	zn-submit --begin +1h --output /dev/null -- true
	[ "$(state 1)" = PENDING ] && [ "$(state 3)" = PENDING ]
	[[ $(zn-queue why -o table 3) == *"begins at"* ]]
	zn-queue wait 2
	awk "BEGIN { exit !($(field start_s 2) >= $(field begin_s 2)) }"
	[ "$(state 1)" = PENDING ] && [ "$(state 3)" = PENDING ]
	zn-queue release 1
	zn-queue wait 1
	run -1 zn-queue release 1
}

@test "a waiting job that is held leaves the queue, and comes back to its place" {
	blocker -g 8 >/dev/null
	zn-submit -g 8 --output /dev/null -- true
	zn-submit -g 8 --output /dev/null -- true
	zn-queue hold 2
	[ "$(state 2)" = PENDING ]
	zn-queue release 2
	touch go
	zn-queue wait 2 3
	[ "$(zn-queue events -o json | sed -n 's/.*"event":"started".*"id":\([0-9]*\),.*/\1/p' | xargs)" = "1 2 3" ]
}

@test "a job over its limit is ended with everything it started, daemons too, and is FAILED for that reason" {
	zn-submit -t 1s --output pids -- sh -c 'setsid sh -c "trap : TERM; echo \$\$; while :; do sleep 1; done" & trap : TERM; echo $$; while :; do sleep 1; done' >/dev/null
	until_true has_lines 2 pids
	run -0 timeout 60 zn-queue modify -t 1s 1
	# its own grace would be 30 s
	run -0 zn-queue cancel --grace 1s 1
	run -1 timeout 60 zn-queue wait 1
	while read -r pid; do until_true ended "$pid"; done <pids
}

@test "the time limit is the reason of the failure" {
	zn-submit -t 0.5s --grace 1s --output /dev/null -- sleep 60
	run -1 timeout 60 zn-queue wait 1
	[ "$(state 1)" = FAILED ]
	[[ $(field reason 1) == "time limit"* ]]
}

@test "cancel ends a running job; the record has the signal and no exit code" {
	zn-submit --output /dev/null -- sleep 60
	await RUNNING 1
	zn-queue cancel 1
	run -1 zn-queue wait 1
	[ "$(state 1)" = CANCELLED ] && [ "$(field signal 1)" = TERM ] && [ -z "$(field exit_code 1)" ]
	run --separate-stderr -1 zn-queue cancel 1
	[[ $stderr == *"job 1 is CANCELLED"* ]]
}

@test "suspend freezes a job and resume lets it go on" {
	zn-submit --output ticks -- sh -c 'while :; do echo .; sleep 0.02; done'
	until_true has_lines 3 ticks
	zn-queue suspend 1
	[ "$(state 1)" = SUSPENDED ]
	pid=$(zn-queue show -o json 1 >/dev/null; pgrep -f 'while :; do echo .; sleep 0.02' | head -1)
	until_true frozen "$pid"
	zn-queue resume 1
	n=$(grep -c '' ticks)
	until_true has_lines $((n + 3)) ticks
	[ "$(state 1)" = RUNNING ]
	run -1 zn-queue resume 1
}
frozen() { # by signal, or by cgroup
	in_state T "$1" || grep -q 'frozen 1' /sys/fs/cgroup/*/*/cgroup.events /sys/fs/cgroup/*/*/*/cgroup.events 2>/dev/null
}

@test "requeue runs a running job again, and makes a new job of one that has ended" {
	zn-submit --output /dev/null -- sh -c "echo x >>'$dir/runs'; until [ -e '$dir/go' ]; do sleep 0.05; done"
	until_true has_lines 1 runs
	run -0 zn-queue requeue 1
	[ -z "$output" ]
	until_true has_lines 2 runs
	touch go
	zn-queue wait 1
	[ "$(field attempt 1)" = 2 ]
	run -0 zn-queue requeue 1
	[ "$output" = 2 ]
	zn-queue wait 2
	[ "$(field requeue_of 2)" = 1 ]
}

@test "modify changes priority, limit and name; nothing to modify is a usage error" {
	zn-submit --hold -- true
	zn-queue modify -p 3 -t 2h --name other 1
	[ "$(field priority 1)" = 3 ] && [ "$(field name 1)" = other ] && [ "$(field time_limit_s 1)" = 7200.0 ]
	run -64 zn-queue modify 1
	run -65 zn-queue modify --name $'a\nb' 1
	[ "$(field name 1)" = other ]
}

@test "filters take user, state and name; a state that is none is a usage error" {
	zn-submit -n a --hold -- true
	zn-submit -n b --hold -- true
	[ "$(zn-queue -n b -o json --fields id)" = '{"kind":"job","id":2}' ] ||
		[ "$(zn-queue -n b -o json --fields id)" = '{"id":2}' ]
	[ "$(zn-queue -u nobody -o json)" = "" ]
	[ "$(zn-queue -s PENDING -m -o json | grep -c '')" -eq 2 ]
	[ "$(zn-queue -s running -o json)" = "" ]
	run -64 zn-queue -s DONE
}

@test "the finished record has what the job used, and the history keeps it" {
	zn-submit -g 2 --output /dev/null -- sh -c 'x=$(head -c 20000000 /dev/zero | tr "\0" x); i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'
	zn-queue wait 1
	run -0 zn-queue history -o json
	[[ $output == *'"state":"COMPLETED"'*'"exit_code":0'*'"gpus":[0,1]'*'"max_rss_bytes":'*'"cpu_s":'*'"gpu_s":'* ]]
	[ "$(field max_rss_bytes 1)" -gt 20000000 ]
	[ "$(zn-queue history --within 1h -n sh -o json | grep -c '')" -eq 1 ]
	[ -z "$(zn-queue history -s FAILED -o json)" ]
}

@test "events are told as they happen, and can be taken up by number" {
	zn-submit --hold --output /dev/null -- true
	zn-queue events -f -o json >events &
	pid=$!
	until_true has_lines 1 events
	zn-queue release 1
	zn-queue wait 1
	until_true grep -q '"event":"completed"' events
	kill $pid
	last=$(sed -n 's/.*"seq":\([0-9]*\).*/\1/p' events | tail -1)
	[ "$(zn-queue events --since $((last - 1)) -o json | grep -c '')" -eq 1 ]
}

@test "log shows the output, log -f until the end" {
	zn-submit -- sh -c "echo first; until [ -e '$dir/go' ]; do sleep 0.05; done; echo last"
	until_true has_lines 1 zn-1.out
	[ "$(zn-queue log 1)" = first ]
	zn-queue log -f 1 >followed &
	pid=$!
	until_true has_lines 1 followed
	touch go
	wait $pid
	[ "$(cat followed)" = $'first\nlast' ]
}

@test "many jobs are cancelled by few writes to the disk" {
	command -v strace >/dev/null || skip "strace is not there"
	for _ in {1..300}; do echo '{"command":"true","hold":true}'; done | zn-submit --records >ids
	strace -f -e trace=fdatasync -o trace -p "$(pid_of zn-schedd)" 2>attached &
	tracer=$!
	until_true grep -q attached attached
	xargs zn-queue cancel <ids
	kill -INT $tracer
	wait $tracer || :
	[ "$(zn-queue history -o csv --no-heading --fields state | sort -u)" = CANCELLED ]
	[ "$(grep -c fdatasync trace)" -lt 100 ]
}

@test "wait gives up with 75, and says 1 when a job did not complete" {
	blocker >/dev/null
	run -75 zn-queue wait --timeout 0.2s 1
	touch go
	run -0 zn-queue wait 1 1
	zn-submit --output /dev/null -- false
	run -1 zn-queue wait 1 2
}

@test "a job that is not there exits 1, a number that is none 64, in every verb" {
	zn-submit --hold -- true
	for verb in show why cancel hold release suspend resume requeue wait log; do
		run --separate-stderr -1 zn-queue $verb 99
		[ -n "$stderr" ] || { echo "$verb said nothing"; return 1; }
		run -64 zn-queue $verb 1x
		run -64 zn-queue $verb
	done
}

@test "show has the command and its arguments as they are, and no escape sequence reaches the terminal" {
	zn-submit --hold -- echo $'\033[31mred' 'a b'
	run -0 zn-queue show -o table 1
	[[ $output == *'echo \x1b[31mred a b'* ]]
	[[ $(zn-queue show -o json 1) == *'"arguments":["\u001b[31mred","a b"]'* ]]
}

@test "nodes says what the machine has and what of it is free" {
	blocker -g 3 >/dev/null
	await RUNNING 1
	run -0 zn-queue nodes -o json --fields state,gpus,gpus_free,jobs
	[[ $output == *'"state":"up"'*'"gpus":8'*'"gpus_free":5'*'"jobs":1'* ]]
	touch go
}

@test "a reader needs no daemon" {
	zn-submit --hold -- true
	zn-schedd --stop
	export ZENITH_AUTOSTART=no
	[ "$(zn-queue -o json | grep -c '')" -eq 1 ]
	run -0 zn-queue why -o table 1
	[[ $output == *"held by its owner"* ]]
	run -69 zn-queue cancel 1
	unset ZENITH_AUTOSTART
	zn-queue cancel 1
}
