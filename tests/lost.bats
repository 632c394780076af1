#!/usr/bin/env bats
# A node that stops reporting: it is down, after a while its jobs are lost, and when it is back what it still runs of them is ended.
load queue

# silent_after LOST LINE...: nodes of which one is down after 0.6s without an answer, and has lost its jobs after so long.
silent_after() {
	printf '[queue]\nsilence = 0.6s\nlost = %s\n' "$1" >conf
	export ZENITH_CONFIG=$dir/conf
	nodes "${@:2}"
}
# on LABEL OPTION...: a job on a node with that label, which notes where it runs, and does until the file "go" is there.
on() {
	zn-submit -C "$1" "${@:2}" -- /bin/sh -c "echo \$\$ >'$dir/pid.'\$ZENITH_JOB_ID.\$ZENITH_NODE; until [ -e '$dir/go' ]; do sleep 0.05; done"
}
alive() { [ -e "/proc/$1" ] && ! in_state Z "$1"; }
runs_at() { [ -s "pid.$1" ]; } # JOB.NODE
is_attempt() { [ "$(field attempt "$2")" = "$1" ]; }
said() { grep -q "$1" "$ZENITH_SPOOL/schedd.log"; }

# Ends the agent of a node, and keeps others from taking its place until "back" lets them.
take_agent() { # NODE PID...
	local agent
	agent=$(agent_of "$1")
	kill -STOP "$(pid_of zn-schedd)" "$agent"
	[ $# -eq 1 ] || kill -KILL "${@:2}"
	kill -KILL "$agent"
	exec 8<>"$ZENITH_SPOOL/nodes/$1/${holding-lock}"
	until_true flock -n 8
	kill -CONT "$(pid_of zn-schedd)"
}
back() { exec 8<&-; }

@test "a node whose agent hangs has lost its jobs after a while: they run elsewhere if they asked for it, or have failed" {
	silent_after 1s 'n1 mock=2 label.small=' 'n2 mock=1 label.small='
	on node=n1 -g 1
	await RUNNING 1
	until_true runs_at 1.n1
	zn-queue node drain n2
	on small -g 1 --requeue 1
	await RUNNING 2
	until_true runs_at 2.n1
	zn-queue node resume n2
	hung=$(agent_of n1)
	kill -STOP "$hung"
	until_true is_node n1 down
	[ "$(state 1) $(state 2)" = "RUNNING RUNNING" ]                  # that alone ends nothing
	run -1 zn-queue wait 1
	[ "$(state 1)" = FAILED ]
	[ "$(field reason 1)" = "lost: node 'n1' was down for 1.00s" ]
	until_true runs_at 2.n2
	await RUNNING 2
	[ "$(where_is 2)" = "n2 [0]" ]
	is_attempt 2 2
	said "node 'n1' was down for 1.00s: 2 jobs that had a place there are lost"
	alive "$(cat pid.1.n1)"
	alive "$(cat pid.2.n1)"
	kill -CONT "$hung"
	until_true is_node n1 up
	ended "$(cat pid.1.n1)"
	ended "$(cat pid.2.n1)"
	alive "$(cat pid.2.n2)"
	said "node 'n1' still runs job 2, attempt 1, which was lost: it is ended"
	said "job 2, attempt 1, which was lost, has ended on node 'n1'"
	touch go
	zn-queue wait 2
	[ "$(field attempt 2) $(state 1)" = "2 FAILED" ]
}

@test "nothing starts on a node that is back before what it had lost has ended" {
	silent_after 1s 'n1 mock=1' 'n2 mock=1'
	zn-submit -C node=n1 -g 1 --grace 2s -- /bin/sh -c 'trap "" TERM; echo $$ >pid; until [ -e go ]; do sleep 0.05; done'
	until_true exists pid
	await RUNNING 1
	hung=$(agent_of n1)
	kill -STOP "$hung"
	run -1 zn-queue wait 1
	zn-submit -C node=n1 -- true                                     # not its GPU, and all the same
	kill -CONT "$hung"
	until_true said "node 'n1' still runs job 1"
	until_true eval 'zn-queue why -o json 2 | grep -q "jobs that it had lost are ended there first"'
	alive "$(cat pid)"
	is_state QUEUED 2
	zn-queue wait 2
	ended "$(cat pid)"
	is_node n1 up
}

@test "a start that a hung agent has not read is none when it goes on" {
	silent_after 1s 'n1 mock=1' 'n2 mock=1'
	until_there stay -C node=n1                                      # so that it is asked whether it is there
	await RUNNING 1
	hung=$(agent_of n1)
	kill -STOP "$hung"
	zn-submit -C node=n1 -g 1 --requeue 1 -- /bin/sh -c 'echo >>ran'
	await SCHEDULED 2
	await QUEUED 2
	kill -CONT "$hung"
	zn-queue wait 2
	is_attempt 2 2
	[ "$(grep -c '' ran)" = 1 ]
	run ! said "still runs job 2"
}

@test "a node whose agent was killed and does not come back has lost its jobs, and is a node again when it does" {
	silent_after 1s 'n1 mock=1' 'n2 mock=1'
	on node=n1 -g 1
	until_true runs_at 1.n1
	await RUNNING 1
	take_agent n1
	until_true ended "$(cat pid.1.n1)"                               # its shepherd noticed
	[ "$(state 1)" = RUNNING ]
	run -1 zn-queue wait 1
	[ "$(field reason 1)" = "lost: node 'n1' was down for 1.00s" ]
	zn-submit -C node=n1 -g 1 -- true
	back
	zn-queue wait 2
	[ "$(state 1)" = FAILED ]
}

@test "what outlived its agent and its shepherd is ended by the next agent before the node gets a job" {
	silent_after 1s 'n1 mock=1' 'n2 mock=1'
	on node=n1 -g 1 --requeue 1
	until_true runs_at 1.n1
	await RUNNING 1
	take_agent n1 "$(pid_of zn-job-1)"
	until_true is_state QUEUED 1
	stale=$(cat pid.1.n1)
	alive "$stale"
	rm pid.1.n1
	back
	until_true runs_at 1.n1
	ended "$stale"
	await RUNNING 1
	is_attempt 2 1
	touch go
	zn-queue wait 1
}

@test "an agent that takes long to come up, as something of the one before is in its way, keeps nobody else waiting" {
	nodes 'n1 mock=1' 'n2 mock=1'
	holding=hands take_agent n1                                      # as one does that does not end
	until_true eval '[ "$(agent_of n1)" ]'
	timeout 5 zn-submit -w -C node=n2 -- true 8<&-
	is_node n1 down
	back
	until_true is_node n1 up
}

@test "a gang that lost one of its nodes ends on the others first, and goes as a whole" {
	silent_after 1s 'n1 mock=1' 'n2 mock=1' 'n3 mock=1'
	gang() { zn-submit --nodes 2 -g 2 "$@" -- /bin/sh -c 'echo $$ >pid.$ZENITH_JOB_ID.$ZENITH_NODE; until [ -e go ]; do sleep 0.05; done'; }
	zn-queue node drain n3
	gang --requeue 1
	until_true runs_at 1.n1 && until_true runs_at 1.n2
	await RUNNING 1
	zn-queue node resume n3
	hung=$(agent_of n1) other=$(cat pid.1.n2)
	kill -STOP "$hung"
	until_true runs_at 1.n3
	ended "$other"
	await RUNNING 1
	is_attempt 2 1
	[ "$(field state 1)" = RUNNING ]
	alive "$(cat pid.1.n1)"
	kill -CONT "$hung"
	until_true all_up 3
	ended "$(cat pid.1.n1)"
	touch go
	zn-queue wait 1
	rm go
	gang
	await RUNNING 2
	mapfile -t of < <(zn-queue show -o json 2 | grep -o '"node":"[^"]*"' | sed 's/.*:"//; s/"//')
	until_true runs_at "2.${of[0]}" && until_true runs_at "2.${of[1]}"
	hung=$(agent_of "${of[1]}")
	kill -STOP "$hung"
	run -1 zn-queue wait 2
	ended "$(cat "pid.2.${of[0]}")"
	[ "$(field reason 2)" = "lost: node '${of[1]}' was down for 1.00s" ]
	kill -CONT "$hung"
	until_true all_up 3
	ended "$(cat "pid.2.${of[1]}")"
}

@test "a node that is back while its gang still ends elsewhere ends its part" {
	silent_after 1s 'n1 mock=1' 'n2 mock=1'
	zn-submit --nodes 2 -g 2 --grace 5s -- /bin/sh -c '
		[ $ZENITH_NODE = n1 ] || trap "" TERM
		echo $$ >pid.1.$ZENITH_NODE
		until [ -e go ]; do sleep 0.05; done'
	until_true runs_at 1.n1 && until_true runs_at 1.n2
	await RUNNING 1
	hung=$(agent_of n1)
	kill -STOP "$hung"
	until_true grep -qs 'partly over' "$ZENITH_SPOOL"/journal/*.zj
	kill -CONT "$hung"
	until_true is_node n1 up
	ended "$(cat pid.1.n1)"
	alive "$(cat pid.1.n2)"
	[ "$(state 1)" = RUNNING ]
	touch go
	run -1 zn-queue wait 1
	[ "$(field reason 1)" = "lost: node 'n1' was down for 1.00s" ]
}

@test "a cancel that could not be told is one when the node has lost the job" {
	silent_after 1s 'n1 mock=1' 'n2 mock=1'
	on node=n1 -g 1 --requeue 1
	until_true runs_at 1.n1
	await RUNNING 1
	hung=$(agent_of n1)
	kill -STOP "$hung"
	zn-queue cancel 1
	run -1 zn-queue wait 1
	[ "$(state 1)" = CANCELLED ]
	kill -CONT "$hung"
	until_true is_node n1 up
	ended "$(cat pid.1.n1)"
}

@test "a zn-schedd that was killed waits for a silent node anew, and knows what it had lost" {
	silent_after 1s 'n1 mock=1' 'n2 mock=1'
	on node=n1 -g 1
	until_true runs_at 1.n1
	await RUNNING 1
	hung=$(agent_of n1)
	kill -STOP "$hung"
	until_true is_node n1 down
	start_after_kill
	run -1 zn-queue wait 1
	[ "$(field reason 1)" = "lost: node 'n1' was down for 1.00s" ]
	start_after_kill
	alive "$(cat pid.1.n1)"
	kill -CONT "$hung"
	until_true all_up 2
	ended "$(cat pid.1.n1)"
	[ "$(state 1)" = FAILED ]
}

@test "an agent that is back in time has lost nothing" {
	silent_after 3s 'n1 mock=1' 'n2 mock=1'
	on node=n1 -g 1
	until_true runs_at 1.n1
	await RUNNING 1
	hung=$(agent_of n1)
	for _ in 1 2; do
		kill -STOP "$hung"
		until_true is_node n1 down
		sleep 1
		kill -CONT "$hung"
		until_true is_node n1 up
	done
	sleep 2                                                          # longer than it was away the second time
	[ "$(state 1)" = RUNNING ]
	touch go
	zn-queue wait 1
}

@test "one machine alone loses nothing by silence, nor do several that are never given up" {
	silent() { # AGENT NODE
		until_there go -g 1
		await RUNNING 1
		kill -STOP "$1"
		until_true is_node "$2" down
		sleep 1
		[ "$(state 1)" = RUNNING ]
		kill -CONT "$1"
		touch go
		zn-queue wait 1
	}
	silent_after 0 'n1 mock=1' 'n2 mock=1'
	silent "$(agent_of n1)" n1
	zn-schedd --stop
	until_true none_is_left
	rm -r "$ZENITH_SPOOL" go
	printf '[queue]\nsilence = 0.3s\nlost = 0.3s\n' >conf
	ZENITH_MOCK_GPUS=1 start
	until_true all_up 1
	silent "$(pid_of zn-noded)" "$(uname -n)"
}
