#!/usr/bin/env bats
# Several nodes, each with an agent of its own: zn-schedd --nodes.  They are mocks on this machine.
load queue

@test "a job goes where its GPUs are, and where it leaves the least" {
	nodes 'n1 mock=8' 'n2 mock=4   # half of it' 'n3 mock=2'
	for g in 2 3 5; do until_there go -g $g; done >numbers
	for i in 1 2 3; do await RUNNING $i; done
	[ "$(where_is 1)" = "n3 [0,1]" ]
	[ "$(where_is 2)" = "n2 [0,1,2]" ]
	[ "$(where_is 3)" = "n1 [0,1,2,3,4]" ]
	until_there go -g 1
	await RUNNING 4
	[ "$(where_is 4)" = "n2 [3]" ]
	zn-queue nodes -o json >shown
	grep -q '"node_id":"n1".*"gpus_free":3.*"jobs":1' shown
	grep -q '"node_id":"n2".*"gpus_free":0.*"jobs":2' shown
	touch go
	zn-queue wait 1 2 3 4
}

@test "what a job knows of its node" {
	nodes 'n1 mock=1' 'n2 mock=4'
	zn-submit -w -g 3 --output '%n.%j' -- /bin/sh -c 'echo $ZENITH_NODE $ZENITH_NODES $CUDA_VISIBLE_DEVICES $ZENITH_SPOOL'
	[ "$(cat n2.1)" = "n2 n2 0,1,2 $ZENITH_SPOOL" ]
	[ "$(field output 1)" = "$dir/%n.1" ]                           # where it was is in the history
	zn-queue history -o json | grep -q '"id":1,.*"node":"n2"'
}

@test "why and the dry run say what each node lacks" {
	nodes 'n1 mock=4' 'n2 mock=4' 'n3 mock=2'
	until_there go -g 3
	await RUNNING 1
	run -0 zn-submit --dry-run -o json -g 4 -- true
	[[ $output == *'"now":true,"node":"n2"'* ]]
	until_there go -g 4
	await RUNNING 2
	zn-submit -g 4 -- true
	run -0 zn-queue why -o json 3
	[[ $output == *'"answer":"n1: needs 4 gpus; 1 of 4 is free"'* ]]
	[[ $output == *'"text":"n2: needs 4 gpus; none of 4 is free","count":1'* && $output == *'"text":"n3: needs 4 gpus; the machine has 2"'* ]]
	zn-submit -g 5 -- true
	run -0 zn-queue why -o json 4
	[[ $output == *'"answer":"it can never start here: 2 nodes: needs 5 gpus; the machine has 4"'* ]]
	touch go
	zn-queue wait 1 2 3
	[ "$(state 4)" = QUEUED ]
}

@test "one node is drained by name, and the others go on" {
	nodes 'n1 mock=2' 'n2 mock=2'
	until_there go -g 2
	await RUNNING 1
	[ "$(where_is 1)" = "n1 [0,1]" ]
	run -65 zn-queue node drain
	[[ $output == *"which of the 2 nodes?"* ]]
	run zn-queue node drain n3
	[ "$status" -ne 0 ]
	[[ $output == *"there is no node 'n3'"* ]]
	zn-queue node drain n1 --reason 'new disk'
	is_node n1 draining
	is_node n2 up
	zn-submit -w -g 2 -- true
	zn-queue history -o json | grep -q '"id":2,.*"node":"n2"'
	until_there more -g 2
	await RUNNING 3
	touch go
	zn-queue wait 1
	until_true is_node n1 drained
	zn-submit -g 2 -- true
	run -0 zn-queue why -o json 4
	[[ $output == *'n1: it is drained by '*': new disk'* ]]
	[ "$(state 4)" = QUEUED ]
	zn-queue node resume n1
	zn-queue wait 4
	touch more
	zn-queue wait 3
}

@test "an agent that is killed takes its own jobs with it, and comes back" {
	nodes 'n1 mock=1' 'n2 mock=1'
	until_there go -g 1
	until_there go -g 1 --requeue 1
	await RUNNING 1
	await RUNNING 2
	kill -9 "$(agent_of n2)"
	until_true eval '[ "$(field attempt 2)" = 2 ]'
	await RUNNING 2
	[ "$(where_is 2)" = "n2 [0]" ]
	[ "$(field attempt 1)" = 1 ]
	kill -9 "$(agent_of n1)"
	run -1 zn-queue wait 1
	[ "$(field reason 1)" = "lost: the agent was killed" ] || [[ $(field reason 1) == lost:* ]]
	until_true all_up 2
	touch go
	zn-queue wait 2
}

@test "the nodes are remembered in the spool, with their drains, and what runs goes on" {
	nodes 'n1 mock=1' 'n2 mock=1'
	zn-queue node drain n2
	until_there go -g 1
	await RUNNING 1
	zn-schedd --stop
	start
	until_true is_node n1 up
	until_true is_node n2 drained
	[ "$(state 1)" = RUNNING ]
	[ "$(where_is 1)" = "n1 [0]" ]
	start_after_kill
	until_true is_node n2 drained
	[ "$(where_is 1)" = "n1 [0]" ]
	touch go
	zn-queue wait 1
	zn-schedd --stop
	echo 'n2 mock=1' >nodes                                         # a job of a node that is no more is lost
	rm go
	start --nodes nodes
	until_true is_node n2 drained
	run -1 is_node n1 up
}

@test "a job of a node that is none any more is lost, and not run again, as it may run on" {
	nodes 'n1 mock=1' 'n2 mock=1'
	until_there go -g 1 --requeue 3
	await RUNNING 1
	zn-schedd --stop
	printf 'n2 mock=1\nn3 mock=1\n' >nodes
	start --nodes nodes
	run -1 zn-queue wait 1
	[ "$(field reason 1)" = "lost: its node is none of the nodes any more" ]
	touch go
}

@test "what is wrong in a list of nodes is said with its line, and nothing is started" {
	refused() { # SENTENCE LINE...
		printf '%s\n' "${@:2}" >nodes
		run -65 start --nodes nodes
		[ "$output" = "zn-schedd: $1" ]
		[ ! -e "$ZENITH_SPOOL/nodes.list" ]
	}
	list=$dir/nodes
	refused "'$list' line 2: node 'n1' is there twice" n1 n1
	refused "'$list' line 1: 'a/b' is no name for a node: up to 63 letters, digits, '-', '_' and '.'" a/b
	refused "'$list' line 3: 'gpus' is no key=value" '# mine' '' 'n1 gpus'
	refused "'$list' line 1: there is no key 'gpu' of a node: address, domain, label.NAME and mock are some" 'n1 gpu=8'
	refused "'$list' names no node" '# none'
	run -71 start --nodes "$dir/none"
	[ "$output" = "zn-schedd: can't read '$dir/none': No such file or directory" ]
	run -64 start --nodes nodes --system
	[ "$output" = "zn-schedd: options '--nodes' and '--system' exclude each other" ] || [[ $output == *"exclude each other"* ]]
}

@test "processes are adopted where there is one node" {
	nodes 'n1 mock=1' 'n2 mock=1'
	sleep 300 3>&- &
	run ! zn-submit --adopt $!
	kill $!
}

@test "a gang has its nodes together, and its ranks follow them" {
	nodes 'n1 mock=2' 'n2 mock=4' 'n3 mock=4'
	cat >task <<-'T'
		#!/bin/sh
		echo "$RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $NODE_RANK $ZENITH_NODE $ZENITH_NODES $CUDA_VISIBLE_DEVICES $MASTER_ADDR $MASTER_PORT" >"rank.$RANK"
		until [ -e go ]; do sleep 0.05; done
	T
	chmod +x task
	zn-submit --nodes 2 --gpus-per-node 4 --tasks-per-node 2 -- ./task
	until_true exists rank.3 && until_true exists rank.1
	await RUNNING 1
	port=$(sed 's/.* //' rank.0)
	for r in 0 1 2 3; do
		n=n$((2 + r / 2))
		[ "$(cat rank.$r)" = "$r $((r % 2)) 4 2 $((r / 2)) $n n2,n3 0,1,2,3 127.0.0.1 $port" ]
	done
	zn-queue show -o json 1 >shown
	grep -q '"alloc":\[{"node":"n2","gpus":\[0,1,2,3\].*{"node":"n3","gpus":\[0,1,2,3\]' shown
	grep -q '"gpus":8,"tasks":4,.*"nodes_min":2,"nodes_max":2' shown
	zn-submit -g 2 -- true
	zn-queue wait 2                                                  # n1 is not its
	touch go
	zn-queue wait 1
	zn-queue history -o json | grep '"id":1,' | grep -q '"exit_code":0.*"node":"n2".*"node":"n3"'
}

@test "a gang starts as a whole or not at all, and keeps nothing while it waits" {
	nodes 'n1 mock=2' 'n2 mock=2'
	until_there go -g 1 -t 1h
	await RUNNING 1
	zn-submit --nodes 2 --gpus 4 -t 1h -- true
	run -0 zn-queue why -o json 2
	[[ $output == *'"answer":"it needs 2 nodes; 1 has room for its part"'* ]]
	[[ $output == *'"text":"n1: needs 2 gpus; 1 of 2 is free"'* ]]
	zn-submit -w -g 2 -t 1m -- true                                  # on the other node, before the gang
	zn-submit -g 2 -t 3h -- true                                     # would delay it
	sleep 0.3
	[ "$(state 4)" = QUEUED ]
	run -0 zn-queue why -o json 4
	[[ $output == *'would delay job 2'* ]]
	touch go
	zn-queue wait 1 2 4
}

@test "a gang on as few nodes of a range as can be" {
	nodes 'n1 mock=4' 'n2 mock=2' 'n3 mock=2'
	until_there go --nodes 1-3 --gpus 4 --tasks 4
	await RUNNING 1
	[ "$(where_is 1)" = "n1 [0,1,2,3]" ]
	until_there go --nodes 1-3 --gpus 4 --tasks 4
	await RUNNING 2
	zn-queue show -o json 2 | grep -q '"alloc":\[{"node":"n2",.*{"node":"n3",'
	run -1 zn-submit --dry-run -o json --nodes 2 -g 2 -- true
	[[ $output == *'"now":false'*'"text":"it needs 2 nodes; 0 have room for its part"'* ]]
	touch go
	zn-queue wait 1 2
	run -0 zn-submit --dry-run -o json --nodes 2 -g 2 -- true
	[[ $output == *'"now":true,"node":"n2,n3","gpus":[0]'* ]]
	[[ $output == *'"alloc":[{"node":"n2","gpus":[0],'*'},{"node":"n3","gpus":[0],'* ]]
}

@test "where one part of a gang fails the others end" {
	nodes 'n1 mock=1' 'n2 mock=1'
	zn-submit --nodes 2 -g 2 -- /bin/sh -c '[ $RANK = 0 ] || exit 7; sleep 300 & echo $! >other; wait'
	run -1 zn-queue wait 1
	[ "$(field reason 1)" = "exit code 7" ]
	[ "$(field exit_code 1)" = 7 ]
	until_true ended "$(cat other)"
	zn-submit -w --nodes 2 -g 2 -- true
	[ "$(field exit_code 2)" = 0 ]
}

@test "a gang is cancelled, suspended, signalled and preempted as a whole" {
	nodes 'n1 mock=1' 'n2 mock=1'
	zn-submit --nodes 2 -g 2 -- /bin/sh -c 'trap "echo >usr.$RANK" USR1; echo $$ >pid.$RANK; while :; do sleep 0.05; done'
	until_true eval '[ -s pid.0 -a -s pid.1 ]'
	await RUNNING 1
	zn-queue suspend 1
	cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	stopped() { grep -q 'frozen 1' "$cgroups$(sed -n 's/^0:://p' "/proc/$1/cgroup")/cgroup.events" 2>/dev/null || in_state T "$1"; }
	until_true stopped "$(cat pid.0)"
	until_true stopped "$(cat pid.1)"
	zn-queue resume 1
	zn-queue cancel --grace 0 1
	run -1 zn-queue wait 1
	[ "$(state 1)" = CANCELLED ]
	until_true ended "$(cat pid.0)"
	until_true ended "$(cat pid.1)"
	zn-submit --nodes 2 -g 2 -p -1 --preemptible -- /bin/sh -c 'until [ -e go ]; do sleep 0.05; done'
	await RUNNING 2
	zn-submit -w -g 1 -- true
	[ "$(field preempted 2)" = 1 ]
	touch go
	zn-queue wait 2
}

@test "an agent that is killed ends its gang, which is requeued when it may be" {
	nodes 'n1 mock=1' 'n2 mock=1'
	until_there go --nodes 2 -g 2 --requeue 1
	await RUNNING 1
	kill -9 "$(agent_of n2)"
	until_true eval '[ "$(field attempt 1)" = 2 ]'
	await RUNNING 1
	kill -9 "$(agent_of n1)"
	run -1 zn-queue wait 1
	[[ $(field reason 1) == lost:* ]]
	until_true all_up 2
	touch go
	zn-submit -w --nodes 2 -g 2 -- true
}

@test "a zn-schedd that is killed in the middle knows which parts of a gang are over" {
	nodes 'n1 mock=1' 'n2 mock=1'
	zn-submit --nodes 2 -g 2 -- /bin/sh -c 'echo >>ran.$RANK; [ $RANK = 0 ] || until [ -e go ]; do sleep 0.05; done'
	await RUNNING 1
	until_true grep -qs 'partly over' "$ZENITH_SPOOL"/journal/*.zj
	start_after_kill
	until_true all_up 2
	[ "$(state 1)" = RUNNING ]
	touch go
	zn-queue wait 1
	[ "$(cat ran.0 ran.1 | grep -c '')" = 2 ]
	zn-queue history -o json | grep '"id":1,' | grep -q '"state":"COMPLETED".*"node":"n1".*"node":"n2"'
}

@test "what a gang asks must come out even" {
	refused() { # SENTENCE OPTION...
		run ! zn-submit "${@:2}" -- true
		[ "$output" = "zn-submit: $1" ]
	}
	nodes 'n1 mock=1' 'n2 mock=1'
	refused "3 tasks, 0 gpus and 0 cpus can't be split evenly over 2 nodes" --nodes 2 --tasks 3
	refused "2 tasks, 5 gpus and 0 cpus can't be split evenly over 2 nodes" --nodes 2 -g 5
	refused "a job of 2 to 4 nodes must say how many tasks it has" --nodes 2-4 -g 8
	refused "gpus_per_node needs a number of nodes, not a range of them" --nodes 2-4 --tasks 4 --gpus-per-node 2
	refused "gpus and gpus_per_node disagree: 5, and 2 on each of 2 nodes" --nodes 2 -g 5 --gpus-per-node 2
	refused "'4-2' is no number of nodes, 1 to 1024, nor two of them as in 2-4" --nodes 4-2
	refused "a job with a part of a gpu or a terminal, or that runs already, has one node" --nodes 2 --gpu-share 0.5
}

@test "a gang goes below one leaf if it can, then below one row, and its ranks follow that" {
	nodes 'a mock=1 domain=row1/leaf1' 'b mock=1 domain=row1/leaf2' 'c mock=1 domain=row2/leaf1' 'd mock=1 domain=row1/leaf2' \
		'e mock=1 domain=row1/leaf1' 'f mock=1 domain=row1/leaf1'
	nodes_of() { zn-queue show -o json "$1" | grep -o '"node":"[^"]*"' | sed 's/.*:"//; s/"//' | tr -d '\n'; }
	until_there go --nodes 2 -g 2
	await RUNNING 1
	[ "$(nodes_of 1)" = bd ]                                        # the leaf with just two
	until_there go --nodes 2 -g 2
	await RUNNING 2
	[ "$(nodes_of 2)" = ae ]
	until_there go --nodes 2 -g 2
	await RUNNING 3
	[ "$(nodes_of 3)" = fc ]                                        # nothing better is left
	touch go
	zn-queue wait 1 2 3
	until_there stay --nodes 4 -g 4
	await RUNNING 4
	[ "$(nodes_of 4)" = aebd ]                                      # one row
	zn-queue nodes -o json | grep -q '"node_id":"c".*"domain":"row2/leaf1"'
	touch stay
	zn-queue wait 4
}

@test "after a start nothing is placed before the agents that are there have settled, or a second has passed" {
	gang() { until_there "$1" --nodes 2 -g 4; }
	names() { zn-queue show -o json "$1" | grep -o '"node":"[^"]*"' | cut -d'"' -f4 | paste -sd,; }
	restart() { kill -9 "$(pid_of zn-schedd)"; kill -STOP "$late"; began=${EPOCHREALTIME/[.,]/}; until_true start; }
	others_up() { is_node n1 up && is_node n3 up; }
	nodes 'n1 mock=2 domain=leaf1' 'n3 mock=2 domain=leaf2' 'n2 mock=2 domain=leaf1'
	late=$(agent_of n2)
	restart
	id=$(gang go)
	await RUNNING "$id"                                             # who does not answer keeps nobody back for longer
	[ $((${EPOCHREALTIME/[.,]/} - began)) -ge 1000000 ]
	[ "$(names "$id")" = n1,n3 ]
	kill -CONT "$late"
	touch go
	zn-queue wait "$id"
	for try in 1 2 3 4 5 6 7 8; do
		until_true all_up 3
		restart
		id=$(gang "go.$try")
		until_true others_up
		kill -CONT "$late"
		took=$((${EPOCHREALTIME/[.,]/} - began))
		await RUNNING "$id"
		touch "go.$try"
		zn-queue wait "$id"
		[ $took -ge 1000000 ] || break                          # else this machine was too slow to tell
	done
	[ $took -lt 1000000 ] || skip "this machine is too slow: agents need a second"
	[ "$(zn-queue history -o json | sed -n "s/^.*\"id\":$id,.*\"node\":\"\(n.\)\".*\"node\":\"\(n.\)\".*/\1,\2/p")" = n1,n2 ]
}

@test "an agent that hangs makes its node down until it answers, and what has a place there keeps it" {
	printf '[queue]\nsilence = 0.6s\n' >conf
	export ZENITH_CONFIG=$dir/conf
	nodes 'n1 mock=1' 'n2 mock=1'
	until_there go -g 1
	await RUNNING 1
	[ "$(where_is 1)" = "n1 [0]" ]
	hung=$(agent_of n1)
	kill -STOP "$hung"
	until_true is_node n1 down
	is_node n2 up
	zn-queue nodes -o json | grep -q '"node_id":"n1".*"reason":"its agent does not answer"'
	zn-submit -w -g 1 -- true
	zn-submit --nodes 2 -g 2 -- true
	run -0 zn-queue why -o json 3
	[[ $output == *'n1: its agent does not answer'* ]]
	[ "$(state 1)" = RUNNING ]
	touch go
	kill -CONT "$hung"
	zn-queue wait 1 3
	until_true is_node n1 up
}

@test "a gang one of whose agents refuses goes back to the queue, whoever of the others has begun" {
	nodes 'n1 mock=1' 'n2 mock=1'
	zn-submit -w -g 1 -- true                                        # there is a lease for n1's GPU
	exec 9<"$(echo "$ZENITH_SPOOL"/nodes/n1/leases/*)"
	flock 9
	zn-submit --nodes 2 -g 2 -- true 9<&-
	until_true eval '[[ $(field reason 2) == "gpu 0 is held"* ]]'
	is_state QUEUED 2
	exec 9<&-
	zn-queue wait 2
	[ "$(field attempt 2)" -ge 2 ]
}

@test "the grace of a cancel is that of all parts of a gang" {
	nodes 'n1 mock=1' 'n2 mock=1'
	zn-submit --nodes 2 -g 2 --grace 0.1 -- /bin/sh -c '
		[ $RANK = 0 ] || trap "" TERM
		echo >up.$RANK
		until [ -e go ]; do sleep 0.05; done
		echo >well.$RANK'
	await RUNNING 1
	until_true exists up.0 && until_true exists up.1
	zn-queue cancel --grace 100 1
	until_true grep -qs 'partly over' "$ZENITH_SPOOL"/journal/*.zj
	sleep 1                                                          # what it must not be is killed
	touch go
	run -1 zn-queue wait 1
	[ -e well.1 ]
	[ "$(state 1)" = CANCELLED ]
}

@test "a gang of which a part failed is not suspended any more" {
	nodes 'n1 mock=1' 'n2 mock=1'
	zn-submit --nodes 2 -g 2 -- /bin/sh -c '
		[ $RANK = 0 ] || trap "" TERM
		until [ -e fail ]; do sleep 0.05; done
		[ $RANK = 1 ] || exit 7
		until [ -e go ]; do sleep 0.05; done'
	await RUNNING 1
	touch fail
	until_true grep -qs 'partly over' "$ZENITH_SPOOL"/journal/*.zj
	run -1 zn-queue suspend 1
	[[ $output == *"it is about to end" ]]
	touch go
	run -1 zn-queue wait 1
	[ "$(field exit_code 1)" = 7 ]
}

@test "a node that is drained for a while gets jobs after it, while others wait for other things" {
	nodes 'n1 mock=2' 'n2 mock=2'
	until_there go -g 2
	await RUNNING 1
	[ "$(where_is 1)" = "n1 [0,1]" ]
	zn-queue node drain n2 --until +1s
	zn-submit -g 2 -- true
	timeout 20 zn-queue wait 2
	touch go
	zn-queue wait 1
}

@test "a gang that could have more nodes of its range waits for them" {
	nodes 'n1 mock=2' 'n2 mock=2'
	until_there go -g 1
	await RUNNING 1
	zn-submit --nodes 1-2 -g 4 --tasks 4 -- true
	run -0 zn-queue why -o json 2
	[[ $output == *'"answer":"it needs 2 nodes; 1 has room for its part"'* ]]
	zn-submit --nodes 1-2 -g 6 --tasks 6 -- true
	run -0 zn-queue why -o json 3
	[[ $output == *'"answer":"it can never start here: '* ]]
	touch go
	zn-queue wait 1 2
}

@test "what is left of a gang that lost a node with the list is ended" {
	lost() { # LINE...
		rm -f pid.* go
		zn-submit --nodes 2 -g 2 -- /bin/sh -c 'echo $$ >pid.$RANK; until [ -e go ]; do sleep 0.05; done' >number
		until_true eval '[ -s pid.0 -a -s pid.1 ]'
		await RUNNING "$(cat number)"
		zn-schedd --stop
		printf '%s\n' "$@" >nodes
		start --nodes nodes
		run -1 zn-queue wait "$(cat number)"
		[ "$(field reason "$(cat number)")" = "lost: its node is none of the nodes any more" ]
		until_true ended "$(cat pid.1)"
		touch go
		until_true ended "$(cat pid.0)"
	}
	nodes 'n1 mock=1' 'n2 mock=1'
	lost 'n2 mock=1' 'n3 mock=1'
	until_true all_up 2
	lost 'n3 mock=1'
}

@test "what a part of a gang ended with does not count where another one is refused" {
	nodes 'n1 mock=1' 'n2 mock=1'
	zn-submit -w -g 1 -- true
	exec 9<"$(echo "$ZENITH_SPOOL"/nodes/n1/leases/*)"
	flock 9
	kill -STOP "$(agent_of n1)"
	zn-submit --nodes 2 -g 2 -- /bin/sh -c '[ -e go ] || exit 1' 9<&-
	until_true grep -qs 'partly over' "$ZENITH_SPOOL"/journal/*.zj
	touch go
	kill -CONT "$(agent_of n1)"
	until_true is_state QUEUED 2
	exec 9<&-
	zn-queue wait 2
}

@test "a zn-schedd that is killed in the middle knows that a part of a gang failed" {
	nodes 'n1 mock=1' 'n2 mock=1'
	zn-submit --nodes 2 -g 2 -- /bin/sh -c '
		[ $RANK = 1 ] || { until [ -e up ]; do sleep 0.05; done; exit 7; }
		trap "" TERM
		echo >up
		until [ -e go ]; do sleep 0.05; done'
	until_true grep -qs 'partly over' "$ZENITH_SPOOL"/journal/*.zj
	until_true exists up
	start_after_kill
	until_true all_up 2
	touch go
	run -1 zn-queue wait 1
	[ "$(field reason 1)" = "exit code 7" ]
	[ "$(field exit_code 1)" = 7 ]
}
