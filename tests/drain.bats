#!/usr/bin/env bats
# A node that gets no new jobs, for a while or until somebody says.
load queue

quick() { zn-submit --output /dev/null "$@"; }
node() { zn-queue nodes -o csv --no-heading --fields state,reason; }
is_node() { [ "$(node)" = "$1" ]; }
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
	no 64 "options '--reason' and '--until' go with drain" resume --reason x
	no 65 "until when it is drained must be in the future" drain --until 2020-01-01T00:00
	no 65 "reason 'a\\x0ab' holds a control character" drain --reason $'a\nb'
	[ "$(node)" = up, ]
}
