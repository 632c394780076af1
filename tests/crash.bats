#!/usr/bin/env bats
# One death, or one refused system call, at a chosen point: scripts/check-crash, which names and counts the points.
bats_require_minimum_version 1.5.0

setup() {
	run crash -r / -l /dev/null -- true
	[ "$status" -eq 0 ] || skip "processes can't be traced here: $output"
}
crash() { "$B/tests/crash" "$@"; }

# after SCENARIO ACTION POINT: the promises hold, and the point was reached.  Not every run passes each point: whether a file
# that comes just now is found at the start or noticed after it is chance.
after() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		run -0 scripts/check-crash --one "$1" "$3"$'\t'"$2"
		[[ $output == "not reached: "* ]] || break
	done
	[ -z "$output" ]
}

@test "a description that can't be read just now is read later; its job is not lost" {
	after schedd EMFILE "0 open spool/journal/N.zj #1"
	after schedd EIO "0 pread spool/journal/N.zj #3"
}

@test "a dropped submission that can't be taken in just now is not refused" {
	after schedd-again EMFILE "0 open spool/drop/N/two.zr #1"
	after schedd-again EIO "0 read spool/drop/N/two.zr #1"
	after schedd-again EMFILE "0 open spool/drop/N #1"
}

@test "a script that can't be read is not submitted as a command" {
	after submit EIO "0 read job #1"
	after submit EINTR "0 read job #1"
	after submit EIO "0 open job #1"
	after submit EMFILE "0 open job #1"
}

@test "an agent that can't read the machine at first tries again" {
	after noded EMFILE "0 socketpair - #1"
	after noded EAGAIN "0 clone - #1"
}

@test "an agent that can't read its log just now reads it later: no job hangs" {
	after noded EIO "0 pread spool/node/events #3"
	after noded EINTR "0 pread spool/node/events #3"
}

@test "a shepherd that can't be watched is not started: its job runs once" {
	for n in 2 3; do after noded ENOSPC "0 epoll_ctl socket #$n"; done
}

@test "a shepherd that was interrupted while it took or gave up a job goes on: no job hangs" {
	for n in 2 3; do after noded EINTR "1 send socket #$n"; done
	after noded EINTR "1 recvmsg socket #1"
}

@test "a shepherd, or the agent, that dies between two jobs loses neither the first nor its GPU" {
	after noded kill "1 recvmsg socket #1"
	after noded kill "0 sendmsg socket #1"
}

@test "a job whose tasks end well while its agent dies is not lost" {
	for _ in 1 2 3; do after noded kill "0 send socket #10"; done
}

@test "zn-schedd that can't watch a connection closes it: nobody waits for an answer from there" {
	for n in 2 3 4; do after schedd ENOSPC "0 epoll_ctl socket #$n"; done
}

@test "a cancel that the journal did not take is a cancel all the same once the job ended by it" {
	after schedd EIO "0t pwrite spool/journal/N.zj #11"
}

@test "a start that can't be logged just now is logged later: the job can be preempted" {
	after noded-preempt EIO "1 write spool/node/events #2"
	after noded-preempt EMFILE "1 open spool/node/events #2"
}

@test "a job that can't be thawed just now is thawed later" {
	scripts/check-crash --one noded-freeze list$'\t'"$BATS_TEST_TMPDIR/points"
	point=$(grep -o '^1 open .*/cgroup.freeze #2' "$BATS_TEST_TMPDIR/points") || skip "no cgroups"
	after noded-freeze EMFILE "$point"
}

@test "the next of a series, and what is run at a job's end, are made later when they can't be made just now" {
	after schedd-every EIO "0 pread spool/journal/N.zj #1"
	for n in 3 5 7; do after schedd-after EIO "0 pread spool/journal/N.zj #$n"; done # of one the command at its end
}

@test "how the first part of a gang ended is known to the zn-schedd after the one that was told" {
	after schedd-gang-preempt kill "0 writev socket #6"
}

@test "the programs die, or are refused something, at some of all points: the promises hold (check-crash has them all)" {
	case ${SANITIZED-} in ?*) skip "of the sanitizers' builds the long form alone is worth its time" ;; esac
	run -0 scripts/check-crash -n 4 schedd noded submit
	echo "$output"
	[[ $output != *"not ok"* && $output == *"ok 3 - "* ]]
}

@test "so do they at some points of arrays, dependencies, drains, a deadline, preemption, freezing, quotas and a series" {
	case ${SANITIZED-} in ?*) skip "of the sanitizers' builds the long form alone is worth its time" ;; esac
	run -0 scripts/check-crash -n 2 schedd-array schedd-after schedd-drain schedd-deadline schedd-preempt schedd-freeze schedd-over schedd-drain-from \
		schedd-every noded-array noded-preempt noded-freeze
	echo "$output"
	[[ $output != *"not ok"* && $output == *"ok 12 - "* ]]
}

@test "so do they at some points of gangs on two nodes, one of which may be lost" {
	case ${SANITIZED-} in ?*) skip "of the sanitizers' builds the long form alone is worth its time" ;; esac
	run -0 scripts/check-crash -n 2 schedd-gang schedd-gang-preempt schedd-lost noded-gang noded-gang-preempt
	echo "$output"
	[[ $output != *"not ok"* && $output == *"ok 5 - "* ]]
}
