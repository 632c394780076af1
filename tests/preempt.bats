#!/usr/bin/env bats
# Preemption: who is urgent gets the place of who may be sent back to the queue.
load queue

quick() { zn-submit --output /dev/null "$@"; }
reason() { zn-queue show -o json "$1" | sed -n 's/.*"reason":"\([^"]*\)".*/\1/p'; }
is_reason() { [ "$(reason "$1")" = "$2" ]; }
is_preempted() { [ "$(field preempted "$2")" = "$1" ]; }
# A preemptible job of G GPUs that runs until "go", and notes each start.
meek() { quick --preemptible -g "$1" "${@:2}" -- sh -c "echo \$ZENITH_JOB_ID >>'$dir/starts'; until [ -e '$dir/go' ]; do sleep 0.02; done"; }

again() { # kill -9 of zn-schedd, and the next one
	local pid
	pid=$(pid_of zn-schedd)
	kill -9 "$pid"
	until_true ended "$pid"
	until_true start 2>>log
}

@test "an urgent job gets the place of one that may be sent back, which runs again after it" {
	meek 8                                                           # 1
	until_true has_lines 1 starts
	quick -p 1 -g 2 -- sh -c "until [ -e '$dir/soon' ]; do sleep 0.02; done" # 2
	await RUNNING 2
	[ "$(state 1) $(field preempted 1): $(reason 1)" = "QUEUED 1: preempted for job 2" ]
	zn-queue events -o csv --no-heading --fields event,job.id | grep -q '^preempted,1$'
	touch soon go
	zn-queue wait 2 1
	[ "$(wc -l <starts)" -eq 2 ]
	[ "$(field attempt 1) $(field exit_code 1)" = "2 0" ]
}

@test "who did not say so, is as urgent, or waits, is left alone" {
	blocker -g 4 >number                                             # 1 is not preemptible
	meek 4 -p 1                                                      # 2 is as urgent
	await RUNNING 2
	quick -p 1 -g 2 -- true                                          # 3
	sleep 0.3
	[ "$(state 1) $(state 2) $(state 3)" = "RUNNING RUNNING QUEUED" ]
	run -0 zn-queue why -o table 3
	[ "${lines[0]}" = "job 3 is QUEUED: needs 2 gpus; none of 8 is free" ]
	touch go
	zn-queue wait 1 2 3
	[ "$(field preempted 2)" = "" ]
}

@test "no more go than must, and rather who has the lowest priority and lost the least" {
	meek 2 -p -2                                                     # 1
	meek 4 -p -1                                                     # 2
	meek 2 -p -2                                                     # 3 started last
	until_true has_lines 3 starts
	await RUNNING 3                                                  # one that only starts is left alone
	quick -g 2 -- sh -c "until [ -e '$dir/soon' ]; do sleep 0.02; done" # 4 needs one of them
	await RUNNING 4
	[ "$(state 1) $(state 2) $(state 3)" = "RUNNING RUNNING QUEUED" ]
	quick -p 1 -g 4 -- sh -c "until [ -e '$dir/soon' ]; do sleep 0.02; done" # 5: 1 alone is not enough, 2 is
	await RUNNING 5
	[ "$(state 1) $(state 2) $(state 3)" = "RUNNING QUEUED QUEUED" ]
	touch soon go
	zn-queue wait 4 5 1 2 3
}

@test "an urgent job that comes while the other one is just starting gets its place all the same" {
	for _ in 1 2 3 4 5; do
		quick --preemptible -g 8 -- sleep 60 >meek
		quick -p 1 -g 8 -- true >urgent                          # most often before the first has begun
		zn-queue wait --timeout 20s "$(cat urgent)"
		zn-queue cancel --grace 0 "$(cat meek)"
	done
}

@test "it gets its signal and its grace, and may end well in it: then it runs again all the same" {
	quick --preemptible -g 8 --signal USR1 --grace 1h --env "D=$dir" -- bash -c '
		trap "echo saved >>$D/checkpoint; exit 0" USR1
		echo start >>$D/starts
		until [ -e $D/go ]; do sleep 0.02; done'                 # 1
	until_true has_lines 1 starts
	quick -p 1 -g 1 -- true
	zn-queue wait --timeout 20s 2
	[ "$(cat checkpoint)" = saved ]
	until_true has_lines 2 starts
	touch go
	zn-queue wait 1
	[ "$(field attempt 1)" = 2 ]
}

@test "while it goes, nothing else takes its place, nobody else goes, and why says who makes room" {
	quick --preemptible -g 4 --grace 1h -- sh -c "trap '' TERM; echo >'$dir/ready'; until [ -e '$dir/end' ]; do sleep 0.02; done" # 1
	meek 4                                                           # 2
	until_true exists ready
	await RUNNING 2
	sleep 0.1
	quick -p 1 -g 8 -t 1h -- true                                    # 3: both
	until_true is_preempted 1 1
	until_true is_preempted 1 2
	quick -g 1 -- true                                               # 4 would fit, now and then
	run -0 zn-queue why -o table 3
	[[ ${lines[0]} == "job 3 is QUEUED: job "[12]" makes room for it" ]]
	[ "$(state 4)" = QUEUED ]
	touch end
	zn-queue wait 3
	touch go
	zn-queue wait 1 2 4
	awk "BEGIN { exit !($(field start_s 4) >= $(field start_s 3)) }"
}

@test "one that was preempted is safe for a minute after its next start" {
	meek 8                                                           # 1
	until_true has_lines 1 starts
	quick -p 1 -g 1 -- true                                          # 2
	zn-queue wait 2
	until_true has_lines 2 starts
	quick -p 1 -g 1 -- true                                          # 3
	sleep 0.3
	[ "$(state 1) $(state 3)" = "RUNNING QUEUED" ]
	touch go
	zn-queue wait 1 3
	[ "$(field preempted 1)" = 1 ]
}

@test "who is urgent comes before all that might fill up meanwhile, and gets no more than it takes" {
	quick -g 4 -- sh -c "until [ -e '$dir/first' ]; do sleep 0.02; done" # 1 is not preemptible
	await RUNNING 1
	meek 4                                                           # 2
	await RUNNING 2
	quick -p 1 -g 8 -- true                                          # 3: 2 alone would not do
	quick -g 4 --preemptible -- sleep 60                             # 4 must not take what 1 leaves
	sleep 0.3
	[ "$(state 2) $(state 3) $(state 4)" = "RUNNING QUEUED QUEUED" ]
	touch first
	zn-queue wait --timeout 20s 3
	touch go
	[ "$(field preempted 4)" = "" ]
	zn-queue cancel 4
}

@test "what was sent back does not start in the room that its urgent one waits for, restart or not" {
	quick --preemptible -g 4 --grace 1h -- sh -c "trap '' TERM; echo >'$dir/ready'; until [ -e '$dir/end' ]; do sleep 0.02; done" # 1
	meek 4 -t 10m                                                    # 2
	until_true exists ready
	until_true has_lines 1 starts
	quick -p 1 -g 8 -- true                                          # 3
	until_true is_state QUEUED 2
	again
	sleep 0.3
	[ "$(state 2) $(field preempted 2) $(wc -l <starts)" = "QUEUED 1 1" ]
	run -1 --separate-stderr zn-queue suspend 1
	[ "$stderr" = "zn-queue: job 1 is RUNNING: it can't be suspended: it is about to end" ]
	touch end
	zn-queue wait --timeout 20s 3
	touch go
	zn-queue wait 1 2
	[ "$(field preempted 1) $(field preempted 2)" = "1 1" ]
}

@test "one that is over its limit has failed, whoever comes in its grace; what is run at an end sends nobody back" {
	quick --preemptible -g 8 -t 0.5s --grace 3s -- sh -c "trap '' TERM; echo >'$dir/ready'; while :; do sleep 0.1; done" # 1
	until_true exists ready
	sleep 0.8
	quick -p 1 -g 1 -- true                                          # 2
	zn-queue wait --timeout 20s 2
	[ "$(state 1): $(reason 1) $(field preempted 1)" = "FAILED: time limit " ]
	quick --preemptible -c "$(nproc)" -- sh -c "until [ -e '$dir/go' ]; do sleep 0.02; done" # 3
	await RUNNING 3
	quick --hold --on-end "sleep 50" -- true                         # 4
	zn-queue cancel 4                                                # and 5
	sleep 0.3
	[ "$(state 3) $(state 5)" = "RUNNING QUEUED" ]
	run --separate-stderr -65 quick --key end-of-9 -- true
	[ "$stderr" = "zn-submit: key 'end-of-9' is one that the queue gives: take another" ]
	zn-queue cancel 5
	touch go
	zn-queue wait 3
}

@test "kill -9 of zn-schedd while one goes: it is not lost, runs again, and is not preempted twice" {
	quick --preemptible -g 8 --grace 1h -- sh -c "trap '' TERM; echo >>'$dir/starts'; until [ -e '$dir/end' ]; do sleep 0.02; done" # 1
	until_true has_lines 1 starts
	quick -p 1 -g 8 -- sh -c "echo >'$dir/came'"                     # 2
	until_true is_preempted 1 1
	again
	until_true is_reason 1 "preempted for job 2"
	sleep 0.2
	touch end
	zn-queue wait 2 1
	[ "$(wc -l <starts) $(field preempted 1) $(field attempt 1)" = "2 1 2" ]
}

@test "what is cancelled, adopted or on a terminal does not run again; an array's elements do" {
	printf '[queue]\ndefault_preemptible = yes\n' >conf
	export ZENITH_CONFIG=$dir/conf
	quick -g 4 --array 0-1 -- sh -c "echo >>'$dir/starts'; until [ -e '$dir/go' ]; do sleep 0.02; done" # 1
	until_true has_lines 2 starts
	quick -p 1 -g 2 -- true                                          # 2
	zn-queue wait 2
	until_true has_lines 3 starts
	[ "$(field preempted 1.0)$(field preempted 1.1)" = 1 ]
	touch go
	zn-queue wait 1
	rm go starts
	meek 8 --grace 1h                                                # 3
	until_true has_lines 1 starts
	quick -p 1 -g 1 -- true                                          # 4
	zn-queue cancel 3
	zn-queue wait 4
	run -1 zn-queue wait 3
	[[ "$(state 3)" == CANCELLED ]]
		printf '{"command":"true","directory":"/tmp","terminal":"zenith-pty-x","policy":{"preemptible":true}}\n' >record
	run --separate-stderr -65 zn-submit --records <record
}

# One that counts, on all CPUs and with no GPU.
counter() { quick --preemptible -g 0 -c "$(nproc)" "$@" -- sh -c "echo begun >>'$dir/begun'; until [ -e '$dir/go' ]; do echo >>'$dir/counted'; sleep 0.02; done"; }
counted() { wc -l <counted; }
one_is_frozen() { # as another one needs a CPU of it until "soon" is there
	counter
	until_true exists counted
	await RUNNING 1
	quick -p 1 -c 1 -t 1h -- sh -c "until [ -e '$dir/soon' ]; do sleep 0.02; done"
	await SUSPENDED 1
	await RUNNING 2
}

@test "one of which an urgent job needs the CPUs alone is frozen, and goes on after it where it was" {
	one_is_frozen                                                    # 1, for 2
	[ "$(state 1) $(field preempted 1) $(reason 1)" = "SUSPENDED 1 preempted for job 2" ]
	zn-queue show -o json 1 | grep -q '"cpus":0,'                    # of its place: it has none just now
	zn-queue show -o table 1 | grep -q '^placed .* (lent)$'
	n=$(counted)
	sleep 0.2
	[ "$(counted)" = "$n" ]
	run --separate-stderr -1 zn-queue resume 1
	[ "$stderr" = "zn-queue: job 1 is SUSPENDED: it can't be resumed: it makes room for a more urgent one, and goes on after it" ]
	quick -c 1 -t 1h -- true                                         # 3 gets nothing of what the urgent one left
	again
	[ "$(state 1) $(state 2) $(state 3)" = "SUSPENDED RUNNING QUEUED" ]
	touch soon
	await RUNNING 1
	until_true eval '[ "$(counted)" -gt "$n" ]'
	[ "$(state 2)" = COMPLETED ]
	touch go
	zn-queue wait 1
	[ "$(wc -l <begun)" -eq 1 ]
	[ "$(field attempt 1)" = 1 ]
}

@test "one that is frozen can be cancelled; one whose memory is needed is sent back" {
	one_is_frozen                                                    # 1, for 2
	zn-queue cancel --grace 0 1
	await CANCELLED 1
	[ "$(state 2)" = RUNNING ]
	touch soon
	zn-queue wait 2
	rm -f counted
	all=$(zn-queue nodes -o csv --no-heading --fields mem_free_bytes)
	counter -m $((all * 3 / 4))                                      # 3
	until_true exists counted
	await RUNNING 3
	quick -p 1 -m $((all / 2)) -- true                               # 4
	zn-queue wait 4
	zn-queue events -o csv --no-heading --fields event,job.id | grep -q '^preempted,3$'
	touch go
	zn-queue wait 3
	[ "$(wc -l <begun)" -eq 3 ]
}

@test "why says what one that is frozen keeps from others, once it waits for its CPUs alone" {
	[ "$(nproc)" -gt 1 ] || skip "one CPU"
	one_is_frozen                                                    # 1, for 2
	blocker -p 1 -c 1 >number                                        # 3 takes what 2 leaves
	await RUNNING 3
	touch soon
	zn-queue wait 2
	quick -c 1 -- true                                               # 4
	[[ $(zn-queue why -o table 4) == "job 4 is QUEUED: needs 1 cpu; none of $(nproc) is free"* ]]
	run -1 zn-submit --dry-run -o json -c 1 -- true
	[[ $output == *'"now":false'* ]]
	zn-submit --dry-run -o json -p 1 -c 1 -- true | grep -q '"now":true'
	touch go
	zn-queue wait 1 3 4
}

@test "one that is frozen, and requeued by its owner, goes for nobody" {
	one_is_frozen                                                    # 1, for 2
	zn-queue requeue 1
	await QUEUED 1
	[ "$(field preempted 1): $(reason 1)" = "1: requeued" ]
	touch soon go
	zn-queue wait 1 2
	[ "$(wc -l <begun)" -eq 2 ]
}

@test "one that is frozen goes on on a machine that is drained, so that the drain has an end" {
	one_is_frozen                                                    # 1, for 2
	zn-queue node drain
	touch soon
	zn-queue wait 2
	await RUNNING 1
	touch go
	zn-queue wait 1
	until_true eval '[ "$(zn-queue nodes -o csv --no-heading --fields state)" = drained ]'
}
