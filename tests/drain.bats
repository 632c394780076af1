#!/usr/bin/env bats
# A node that gets no new jobs, for a while or until somebody says.
load queue

quick() { zn-submit --output /dev/null "$@"; }
node() { zn-queue nodes -o csv --no-heading --fields state,reason; }
is_node() { [ "$(node)" = "$1" ]; }
begins_as() { [[ $(node) == "$1"* ]]; }
me() { id -un; }

@test "a drained node finishes what runs and starts nothing, and says why; then it goes on" {
	blocker >number
	await RUNNING 1
	zn-queue node drain --reason "new fans"
	[ "$(node)" = "draining,it is drained by $(me): new fans" ]
	quick -- true
	run -1 zn-submit --dry-run -o json -- true
	[[ $output == *"it is drained by $(me): new fans"* && $output != *expected_s* ]]
	touch go
	zn-queue wait 1
	until_true is_node "drained,it is drained by $(me): new fans"
	[ "$(state 2)" = QUEUED ]
	[ "$(zn-queue why -o table 2)" = "job 2 is QUEUED: it is drained by $(me): new fans" ]
	zn-queue node resume
	zn-queue wait 2
	[ "$(node)" = up, ]
	run --separate-stderr -1 zn-queue node resume
	[[ $stderr == "zn-queue: node '"*"' is not drained" ]]
}

@test "it stays so over the death of zn-schedd, and ends when its time has come" {
	zn-queue node drain
	[ "$(node)" = "drained,it is drained by $(me)" ]
	kill -KILL "$(pid_of zn-schedd)"
	quick -- true
	until_true is_node "drained,it is drained by $(me)"
	[ "$(state 1)" = QUEUED ]
	zn-queue node drain --until +2s "$(hostname)"
	[[ $(node) == "drained,it is drained by $(me) until "* ]]
	kill -KILL "$(pid_of zn-schedd)"
	quick --hold -- true
	[ "$(state 1)" = QUEUED ]
	zn-queue wait 1
	until_true is_node up,
}

@test "only its name, a time to come and a line of text will do" {
	no() { run --separate-stderr "-$1" zn-queue node "${@:3}"; [ "${stderr_lines[0]}" = "zn-queue: $2" ] || { echo "$stderr"; false; }; }
	quick --hold -- true
	no 1 "there is no node 'elsewhere'" drain elsewhere
	no 64 "node takes 'drain' or 'resume', and the name of one"
	no 64 "node takes 'drain' or 'resume', and the name of one" kill
	no 64 "options '--reason', '--from' and '--until' go with drain" resume --reason x
	no 65 "until when it is drained must be in the future" drain --until 2020-01-01T00:00
	no 65 "reason 'a\\x0ab' holds a control character" drain --reason $'a\nb'
	[ "$(node)" = up, ]
}

@test "a drain that is planned lets start what is over by then; the rest waits, is told so, and starts after it" {
	zn-queue node drain --from +1h --until +2h --reason "new fans"
	[ "$(node)" = up, ]
	zn-queue nodes -o json | grep -q '"drain_from_s":[0-9.]*,"drain_until_s":[0-9.]*,"drain_reason":"it will be drained by '"$(me)"' from .* until .*: new fans"'
	quick -g 8 -t 2h -- true                                         # 1 would not be over
	quick -g 1 -t 30m -- true                                        # 2 is
	zn-queue wait 2
	quick -g 1 -- true                                               # 3 has no limit
	[ "$(state 1) $(state 3)" = "QUEUED QUEUED" ]
	run -0 zn-queue why -o table 1
	[[ ${lines[0]} == "job 1 is QUEUED: it fits, but would not be over when the node is to be drained, "* ]]
	[[ $output == *"with --time 59m59s it would start now"* || $output == *"with --time 59m5"*"s it would start now"* ]]
	expected=$(zn-queue why -o json 1 | sed -n 's/.*"expected_s":\([0-9.]*\).*/\1/p')
	awk "BEGIN { d = $expected - $(date +%s) - 7200; exit !(d > -10 && d < 10) }"
	run -1 zn-submit --dry-run -o json -g 1 -t 90m -- true
	[[ $output == *"it would not be over when the node is to be drained, "* ]]
	run -0 zn-submit --dry-run -o json -g 1 -t 50m -- true
	kill -KILL "$(pid_of zn-schedd)"
	quick --hold -- true                                             # 4
	[ "$(state 1)" = QUEUED ]
	zn-queue node resume                                             # there will be none
	zn-queue wait 1 3
	[[ $(zn-queue nodes -o json) != *drain_from_s* ]]
}

@test "when its time comes it is drained, and what waited for that goes on after it" {
	quick -g 1 -t 1h -- sleep 60                                     # 1 runs on
	await RUNNING 1
	zn-queue node drain --from +1s --until +3s
	quick -g 1 -t 1m -- true                                         # 2
	until_true begins_as "draining,it is drained by "
	[ "$(state 2)" = QUEUED ]
	zn-queue wait 2
	[ "$(node)" = up, ]
	zn-queue cancel 1
}

@test "a job that is to be sent back for one that the drain keeps out runs on; another node takes that one" {
	printf '%s\n' 'n1 mock=1' 'n2 mock=1' >list
	start --nodes "$dir/list"
	blocker -g 1 -t 1h -C node=n1 --preemptible -p -1 >number        # 1
	blocker -g 1 -t 1h -C node=n2 --preemptible -p -1 >number        # 2
	await RUNNING 1
	await RUNNING 2
	zn-queue node drain --from +30m n1
	quick -g 1 -t 40m -- true                                        # 3 is urgent, and not over by then
	zn-queue wait 3
	[ "$(state 1) $(field preempted 1) $(field preempted 2)" = "RUNNING  1" ]
	touch go
	zn-queue wait 1 2
}

@test "a plan whose end is a time of day ends at the first after its begin" {
	export TZ=UTC
	now=$EPOCHSECONDS
	at() { date -d "@$((now + $1))" +%H:%M:%S; }
	zn-queue node drain --from "$(at -3600)" --until "$(at 3600)" # from tomorrow
	read -r from until < <(zn-queue nodes -o json | sed -n 's/.*"drain_from_s":\([0-9]*\).*"drain_until_s":\([0-9]*\).*/\1 \2/p')
	[ $((until - from)) -eq 7200 ]
	[ $((from - EPOCHSECONDS)) -gt 80000 ]
}

@test "a plan that makes no sense is refused" {
	bad() { run --separate-stderr -65 zn-queue node drain "${@:2}"; [ "$stderr" = "zn-queue: $1" ] || { echo "$status $stderr"; false; }; }
	bad "it can't be drained until a time before it is" --from +2h --until +1h
	bad "from when on it is drained must be in the future" --from 2020-01-01
	run --separate-stderr -64 zn-queue node resume --from +1h
	[ "${stderr_lines[0]}" = "zn-queue: options '--reason', '--from' and '--until' go with drain" ]
}
