#!/usr/bin/env bats
# zn-submit --pty: a job has the terminal of whoever submits it.
load queue.bash

on() { timeout 90 "$BATS_TEST_DIRNAME/tools/on-a-terminal" "$@" 3>&-; }
# A prompt that no shell prints before it is ready.
shell() { printf "PS1='ready> '; export PS1; exec /bin/sh"; }

@test "a shell has the terminal's size and sees it change, Ctrl-C goes to what it runs, and its exit code comes back" {
	run -0 on 'size=33x101' 'expect=ready> ' 'send=stty size; tty; echo for >/dev/tty; echo gpus $CUDA_VISIBLE_DEVICES\n' \
		'expect=gpus 0,1\r\n' 'expect=ready> ' 'send=sh -c "touch there; sleep 300"\n' "file=$dir/there" 'send=\x03' 'expect=ready> ' \
		'size=40x90' 'send=until [ "$(stty size)" = "40 90" ]; do :; done; echo resized\n' 'expect=\nresized\r\n' 'expect=ready> ' \
		'send=exit 7\n' -- zn-submit -g 2 --pty -- sh -c "$(shell)"
	[[ $output == *$'33 101\n/dev/pts/'*$'\nfor\ngpus 0,1\n'* ]]
	[[ $output == *$'status 7\nterminal as before' ]]
	[ "$(field state 1)" = FAILED ] && [ "$(field exit_code 1)" = 7 ]
}

@test "without a command the job is the shell" {
	printf '#!/bin/sh\necho I am the shell\n' >shell
	chmod +x shell
	SHELL=$dir/shell run -0 on -- zn-submit --pty
	[[ $output == $'I am the shell\nstatus 0\nterminal as before' ]]
}

@test "what is written last is shown, however much it is" {
	run -0 on -- zn-submit --pty -- sh -c 'seq 20000; echo the end'
	[[ $output == *$'\n20000\nthe end\nstatus 0\n'* ]]
	[ "${#lines[@]}" -eq 20003 ]
}

@test "a client that is killed, or loses its terminal, takes its job along" {
	run -0 on "file=$dir/there" kill=KILL -- zn-submit --pty --grace 0.2 -- sh -c "trap '' HUP; touch '$dir/there'; while :; do sleep 0.1; done"
	run -1 timeout 30 zn-queue wait 1
	[ "$(field reason 1)" = "its terminal is gone" ]
	rm there
	run -0 on "file=$dir/there" hangup -- zn-submit --pty --grace 0 -- sh -c "touch '$dir/there'; sleep 300"
	run -1 timeout 30 zn-queue wait 2
	[ "$(field state 2)" = FAILED ]
}

@test "a client that is told to end puts its terminal right first" {
	run -0 on "file=$dir/there" kill=TERM -- zn-submit --pty -- sh -c "touch '$dir/there'; sleep 300"
	[[ $output == *$'status 143\nterminal as before' ]]
	run -1 timeout 30 zn-queue wait 1
}

@test "Ctrl-C while it waits cancels it" {
	blocker -g 8 >/dev/null
	run -0 on 'expect=job 2 waits for its place; Ctrl-C cancels it' 'send=\x03' -- zn-submit -g 1 --pty -- true
	[[ $output == *$'status 130\nterminal as before' ]]
	[ "$(state 2)" = CANCELLED ]
	touch go
}

@test "a client that went away before its job started leaves nothing that could run" {
	blocker -g 8 >/dev/null
	run -0 on 'expect=job 2 waits' kill=KILL -- zn-submit -g 1 --pty -- touch "$dir/ran"
	touch go
	run -1 timeout 30 zn-queue wait 1 2
	[ "$(state 2)" = FAILED ] && [[ $(field reason 2) == "its terminal is gone: "* ]]
	[ ! -e ran ]
}

@test "zn-schedd killed: the session goes on, and its exit code comes back" {
	on "file=$dir/killed" 'send=echo still here; exit 5\n' -- zn-submit --pty -- sh -c "touch '$dir/there'; exec sh" >out &
	session=$!
	until_true exists there
	kill -KILL "$(pid_of zn-schedd)"
	touch killed
	wait $session
	grep -q 'still here' out && grep -qx 'status 5' out && grep -qx 'terminal as before' out
}

@test "the agent killed: the session ends, and the terminal is as before" {
	on -- zn-submit --pty -- sh -c "touch '$dir/there'; sleep 300" >out &
	session=$!
	until_true exists there
	kill -KILL "$(pid_of zn-noded | head -n 1)"
	wait $session
	grep -qx 'status 125' out && grep -qx 'terminal as before' out
	[[ $(field reason 1) == lost* ]]
}

@test "a cancelled session ends for its client, too" {
	on "file=$dir/there" -- zn-submit --pty -- sh -c "touch '$dir/there'; sleep 300" >out &
	session=$!
	until_true exists there
	zn-queue cancel --grace 0 1
	wait $session
	grep -qx 'terminal as before' out
	run ! grep -qx 'status 0' out
}

@test "it is refused where there is no terminal, or more than one task, or a second run" {
	run --separate-stderr -64 zn-submit --pty -- true </dev/null
	[ "$stderr" = "zn-submit: standard input and output are no terminal" ]
	for o in "--tasks 2" "--requeue 1" "--output x"; do
		# shellcheck disable=SC2086
		run on -- zn-submit --pty $o -- true
		[[ $output == *"a job with a terminal has one task, no output file, and does not run again"*"status 65"* ]]
	done
	run on -- zn-submit --pty --follow -- true
	[[ $output == *"--pty shows what --follow would"*"status 64"* ]]
	run -0 on -- zn-submit --pty -- true
	run --separate-stderr -1 zn-queue requeue 1
	[ "$stderr" = "zn-queue: job 1 is COMPLETED: it can't be run again: it had a terminal" ]
	run --separate-stderr -1 zn-queue log 1
	[ "$stderr" = "zn-queue: job 1 has a terminal: its output went there" ]
	printf '{"command":"true","terminal":"other"}\n' >record
	run --separate-stderr -65 zn-submit --records <record
	[[ $stderr == *"terminal 'other' is no name of one"* ]]
}

@test "nobody else gets the terminal, and nobody's terminal is taken for a job's" {
	[ "$(id -u)" -eq 0 ] || skip "only root can become another user"
	blocker -g 8 >/dev/null
	on 'expect=job 2 waits' "file=$dir/tried" 'send=\x03' -- zn-submit -g 1 --pty -- true >out &
	session=$!
	until_true grep -q '@zenith-pty-' /proc/net/unix
	name=$(sed -n 's/.*@\(zenith-pty-.*\)/\1/p' /proc/net/unix | head -n 1)
	runuser -u nobody -- python3 -c "
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect('\0' + sys.argv[1])
s.settimeout(30)
data, fds, _, _ = socket.recv_fds(s, 16, 4)
sys.exit(bool(data or fds))" "$name"
	touch tried
	wait $session
	touch go
	zn-queue wait 1
	runuser -u nobody -- python3 -c "
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind('\0zenith-pty-nobody')
s.listen()
s.settimeout(60)
c, _ = s.accept()" 3>&- &
	fake=$!
	until_true grep -q '@zenith-pty-nobody' /proc/net/unix
	echo '{"command":"true","terminal":"zenith-pty-nobody"}' | zn-submit --records
	run -1 timeout 30 zn-queue wait 3
	[ "$(field reason 3)" = "its terminal is gone: Operation not permitted" ]
	wait $fake
}
