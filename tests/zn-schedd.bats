#!/usr/bin/env bats
# zn-schedd: coming and going, and what unlucky or hostile clients can't do to it.
load queue

foreground() { zn-schedd 2>log 3>&- & pid=$!; until_true exists "$ZENITH_SPOOL/sock"; }

@test "a service manager hears when each of the two listens, and its journal gets lines without a time of ours" {
	mkdir -m 700 "$ZENITH_SPOOL"
	for program in zn-noded zn-schedd; do
		rm -f notify heard log
		python3 -c 'import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("notify")
print(s.recv(99).decode())' >heard 3>&- &
		until_true exists notify
		: >log
		NOTIFY_SOCKET=$PWD/notify JOURNAL_STREAM=$(stat -c %d:%i log) "$program" 2>>log 3>&- &
		pid=$!
		until_true grep -qx READY=1 heard
		[ "$program" = zn-noded ] || zn-submit --wait --output /dev/null -- true
		kill "$pid"; wait "$pid"
		[ "$program" = zn-schedd ] || grep -x "node .* serves $ZENITH_SPOOL" log
		run ! grep '^20[0-9][0-9]-' log
		run ! grep '^zn-' log
	done
}

@test "one in the foreground answers too, and ends with SIGTERM and status 0; its idle agent goes too" {
	foreground
	id=$(ZENITH_AUTOSTART=no zn-submit --wait -- true)
	[ "$(state "$id")" = COMPLETED ]
	agent=$(pid_of zn-noded)
	kill "$pid"
	wait "$pid"
	until_true ended "$agent"
}

@test "a spool has one owner: a second zn-schedd exits 75 and says why" {
	foreground
	run --separate-stderr -75 zn-schedd
	[[ $stderr == 'zn-schedd: '*"$ZENITH_SPOOL"* ]]
	run -75 zn-schedd --detach
}

@test "--stop returns when the spool is free: the next one starts at once, five times in a row" {
	for _ in 1 2 3 4 5; do
		run -0 zn-schedd --detach
		run -0 zn-schedd --stop
	done
}

@test "--stop without one exits 69; an operand exits 64" {
	run --separate-stderr -69 zn-schedd --stop
	[[ $stderr == "zn-schedd: no zn-schedd answers in '$ZENITH_SPOOL'" ]]
	run -64 zn-schedd what
}

@test "a configuration that makes no sense exits 64 with file and key; a missing one is named" {
	printf '[queue]\ngrace = soon\n' >bad.conf
	run --separate-stderr -64 zn-schedd --config bad.conf
	[[ $stderr == *"bad.conf"*"grace"*"soon"* ]]
	printf '[queue]\nno_such_key = 1\n' >bad.conf
	run --separate-stderr -64 zn-schedd --config bad.conf
	[[ $stderr == *no_such_key* ]]
	run --separate-stderr zn-schedd --config missing.conf
	[ "$status" -ne 0 ]
	[[ $stderr == *missing.conf* ]]
}

@test "a submit that can't start zn-schedd says so and keeps nothing" {
	printf '[queue]\ngrace = soon\n' >bad.conf
	ZENITH_CONFIG=$dir/bad.conf run --separate-stderr -69 zn-submit -- true
	[ -z "$output" ]
	[[ $stderr == *schedd.log* ]]
	[ -z "$(ls "$ZENITH_SPOOL/drop/$(id -u)" 2>/dev/null)" ]
}

@test "a lock of the caller's does not live on in a zn-schedd that it started" {
	exec 9>held
	flock 9
	zn-submit --wait -- true
	exec 9>&-
	flock -n held true
}

@test "jobs get the limits and signals that zn-schedd was given" {
	(ulimit -Sn 300; trap '' PIPE HUP; zn-submit --wait --output out -- /bin/sh -c 'ulimit -Sn; grep SigIgn /proc/self/status')
	[ "$(head -n 1 out)" = 300 ]
	ignored=0x$(sed -n 's/SigIgn:[[:space:]]*//p' out)
	((!(ignored & 1 << 12) && !(ignored & 1))) # SIGPIPE, SIGHUP
}

@test "20 first submits at once start one zn-schedd and one agent" {
	for i in {1..20}; do zn-submit -- true >"n.$i" & done
	wait
	[ "$(cat n.* | sort -un | wc -l)" -eq 20 ]
	[ "$(pid_of zn-schedd | wc -l)" -eq 1 ]
	until_true eval '[ "$(pid_of zn-noded)" ]'
	[ "$(pid_of zn-noded | wc -l)" -eq 1 ]
}

@test "one that was started on demand goes away when it has nothing to do, and its agent with it" {
	printf '[queue]\nidle_exit = 2s\n' >zenith.conf
	export ZENITH_CONFIG=$dir/zenith.conf
	zn-submit --wait -- true
	pid=$(pid_of zn-schedd) agent=$(pid_of zn-noded)
	until_true ended "$pid"
	until_true ended "$agent"
	zn-submit --wait -- true
	[ "$(zn-queue list --all -o json | wc -l)" -eq 2 ]
}

@test "a GPU that the agent can't lease is tried again more and more seldom, not in a loop" {
	chmod 0777 leases # not sticky: the agent refuses to use it
	id=$(zn-submit -g 1 -- true)
	until_true eval '[ "$(field attempt "$id")" ]'
	run -75 zn-queue wait --timeout 2s "$id"
	[ "$(field attempt "$id")" -lt 8 ]
	[[ $(zn-queue why -o json "$id") == *"lease directory"* ]]
	run -0 zn-submit --wait -- true # others go on meanwhile
	zn-queue cancel "$id"
}

@test "a finish command gets every ended job's record on its standard input and the essence in its environment" {
	printf '[queue]\non_finish = cat >> %s/hook; echo $ZENITH_JOB_ID $ZENITH_JOB_STATE $ZENITH_JOB_EXIT_CODE >> %s/env\n' \
		"$dir" "$dir" >zenith.conf
	export ZENITH_CONFIG=$dir/zenith.conf
	for i in {1..20}; do zn-submit -- /bin/sh -c 'exit 3' >/dev/null; done
	until_true has_lines 20 env
	until_true has_lines 20 hook
	[ "$(sort -n env | head -n 1)" = "1 FAILED 3" ]
	[ "$(grep -c '"state":"FAILED".*"exit_code":3' hook)" -eq 20 ]
}

sock() { echo "$ZENITH_SPOOL/sock"; }
# A request as it goes over the socket.
request() { zn-fmt -o msgpack <<<"$1"; }
submission='{"kind":"request","op":"submit","job":{"job_name":"by hand","hold":true,"command":"true","arguments":["a","b"],"directory":"/","key":"byhand"}}'
listed() { zn-queue list -o json | wc -l; }
resident_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$(pid_of zn-schedd)/status"; }

@test "a request that is cut at any byte changes nothing, and who still listens hears so; byte by byte it is a request like others" {
	start
	request "$submission" >message
	run -0 hostile "$(sock)" cut <message
	[[ $output =~ ^([0-9]+)" cuts, "([0-9]+)" answers"$ ]]
	((BASH_REMATCH[1] == $(wc -c <message)))
	((BASH_REMATCH[2] == BASH_REMATCH[1] / 2)) # every other one only stops writing
	[ "$(listed)" -eq 0 ]
	run -0 --separate-stderr bash -c 'hostile "$1" trickle <message | zn-fmt -o json' bash "$(sock)"
	[[ $output == *'"ok":true,"id":1'* ]]
	[ "$(listed)" -eq 1 ]
}

@test "nonsense gets one sentence after the replies that were owed, then the line is closed" {
	start
	request "$submission" >message
	hostile "$(sock)" twins <message | zn-fmt -o json >answers
	[ "$(wc -l <answers)" -eq 3 ]
	[[ $(sed -n 2p answers) == *'"ok":true,"id":1'* ]]
	[[ $(sed -n 3p answers) == *'"ok":false'*'"code":65,"error":"'* ]]
	[ "$(listed)" -eq 1 ]
}

@test "records that are no request, or ask what is not there, are answered and change nothing" {
	start
	rows=('{"op":"explode"}' '{"op":"cancel","id":7}' '{"op":"cancel"}' '{"op":"hold","key":"none"}'
		'{"op":"submit"}' '{"op":"modify","id":9223372036854775807}' '{"kind":"request"}'
		'{"op":"submit","job":{"command":"true","directory":"relative"}}' '{"op":"find"}')
	for r in "${rows[@]}"; do request "$r" >message; hostile "$(sock)" trickle <message | zn-fmt -o json; done >answers
	[ "$(grep -c '"ok":false.*"error":"[a-z]' answers)" -eq ${#rows[@]} ]
	[ "$(listed)" -eq 0 ]
	zn-submit --hold -- true
	request '{"op":"cancel","id":1,"signal":9999}' | hostile "$(sock)" trickle | zn-fmt -o json | grep '"code":65'
	request '{"op":"cancel","id":1,"grace_s":-1.0}' | hostile "$(sock)" trickle | zn-fmt -o json | grep '"code":65'
	[ "$(state 1)" = PENDING ]
}

@test "random bytes on 300 connections harm nobody" {
	start
	pid=$(pid_of zn-schedd)
	run -0 hostile "$(sock)" garbage 300 </dev/null
	[ "$(pid_of zn-schedd)" = "$pid" ]
	[ "$(zn-submit --wait -- true)" = 1 ]
}

@test "1000 connections that say nothing do not keep anybody else from submitting" {
	ulimit -n "$(ulimit -Hn)"
	start
	pid=$(pid_of zn-schedd)
	mkfifo stay
	hostile "$(sock)" crowd 1000 <stay >crowd &
	exec 8>stay
	until_true grep -q open crowd
	run -0 zn-submit --wait -- true
	[ "$output" = 1 ]
	[ "$(ls "/proc/$pid/fd" | wc -l)" -gt 1000 ]
	exec 8>&-
	wait
	few_fds() { [ "$(ls "/proc/$pid/fd" | wc -l)" -lt 50 ]; }
	until_true few_fds
}

@test "more connections than there are descriptors are hung up on; then it goes on" {
	(ulimit -Sn 200; start)
	mkfifo stay
	(ulimit -Sn 1024; hostile "$(sock)" crowd 400 <stay >crowd) &
	exec 8>stay
	until_true grep -q open crowd
	# who comes now is hung up on too, and tries again
	ASAN_OPTIONS=detect_leaks=0 strace -o calls -e trace=connect zn-submit --wait -- true >number 8>&- &
	submit=$!
	tried() { [ -e calls ] && [ "$(grep -c "= 0" calls)" -gt 2 ]; }
	until_true tried
	exec 8>&-
	wait $submit
	wait
	[ "$(cat number)" = 1 ]
	# it did not spin on what it could not accept
	[ "$(wc -c <"$ZENITH_SPOOL/schedd.log")" -lt 10000 ]
}

@test "a client that asks and never listens is left, and costs little memory" {
	start
	before=$(resident_kb)
	request '{"op":"find","key":"'"$(printf 'x%.0s' {1..100})"'"}' >message
	hostile "$(sock)" flood 400000 <message
	[ "$(zn-submit --hold -- true)" = 1 ]
	[ -n "$SANITIZED" ] || [ $(($(resident_kb) - before)) -lt 100000 ]
}

@test "submissions left in the drop directory are taken in when a zn-schedd starts, and as they appear" {
	export ZENITH_AUTOSTART=no
	run -0 zn-submit --hold --key first -- true
	[ "$output" = key:first ]
	run -0 zn-submit --hold --key first -- true # a retry
	run --separate-stderr -65 zn-submit --hold --key first -- false
	[[ $stderr == *"key 'first' was already used"* ]]
	start
	until_true eval '[ "$(listed)" -eq 1 ]'
	[ "$(field key 1)" = first ]
	zn-queue cancel key:first
	[ "$(state 1)" = CANCELLED ]
	[ -z "$(ls "$ZENITH_SPOOL/drop/$(id -u)")" ]
	# one that appears while it runs: the same record, moved there as zn-submit does
	zn-fmt -o msgpack <<<'{"key":"second","hold":true,"command":"true","directory":"/"}' >two
	mv two "$ZENITH_SPOOL/drop/$(id -u)/second.zr"
	until_true eval 'zn-queue show key:second'
}

@test "a drop that is a link, a FIFO, twice linked or no record is refused by name, and nothing else is held up" {
	export ZENITH_AUTOSTART=no
	zn-submit --hold --key good -- true
	d=$ZENITH_SPOOL/drop/$(id -u)
	cp "$d/good.zr" outside
	sed 's/good/evil/' outside >evil
	ln -s "$dir/evil" "$d/link.zr"
	ln "$dir/evil" "$d/hard.zr"
	mkfifo "$d/fifo.zr"
	head -c 20 outside >"$d/half.zr"
	head -c 300 /dev/urandom >"$d/noise.zr"
	truncate -s 1T "$d/huge.zr" || truncate -s 1G "$d/huge.zr"
	mkdir "$d/dir.zr"
	start
	until_true eval '[ "$(listed)" -eq 1 ]'
	for f in link hard fifo half noise huge; do
		[ -e "$d/$f.zr.refused" ] || [ -L "$d/$f.zr.refused" ]
		grep -q "'$f.zr'" "$ZENITH_SPOOL/schedd.log"
	done
	[ "$(field key 1)" = good ]
}

@test "what is mounted on a drop directory is not gone into, and holds up nobody" {
	start
	d=$ZENITH_SPOOL/drop
	mkdir -m 700 "$d/$(id -u)" his
	chown 12345 his || skip "only root can make another's directory"
	mv his "$d/12345"
	mount -t tmpfs -o mode=700,uid=12345 zn-test "$d/12345" || skip "nothing can be mounted here"
	zn-fmt -o msgpack <<<'{"key":"mine","hold":true,"command":"true","directory":"/"}' >mine
	mv mine "$d/$(id -u)/mine.zr"
	until_true eval 'zn-queue show key:mine'
	umount "$d/12345"
	until_true grep -q "of uid 12345 has something mounted on it" "$ZENITH_SPOOL/schedd.log"
}

@test "the log stays small also of a zn-schedd that runs for ever" {
	start
	truncate -s 4M "$ZENITH_SPOOL/schedd.log"
	d=$ZENITH_SPOOL/drop/$(id -u)
	mkdir -m 700 "$d"
	for name in one two; do echo nonsense >nonsense; mv nonsense "$d/$name.zr"; until_true [ -e "$d/$name.zr.refused" ]; done
	[ "$(stat -c %s "$ZENITH_SPOOL/schedd.log.1")" = 4194304 ]
	until_true grep -q "'two.zr'" "$ZENITH_SPOOL/schedd.log"
	grep -q "'one.zr'" "$ZENITH_SPOOL/schedd.log"
}

@test "a snapshot keeps queue, keys and environments, and no job ends twice in the history" {
	head -c 1500000 /dev/zero | tr '\0' '#' >pad
	zn-submit --hold --priority -3 --output /dev/null -- true # 1: of it there is the submission alone
	zn-submit --hold --output /dev/null -- true                      # 2
	zn-queue modify --priority -5 2
	for i in {3..26}; do
		{ printf '#!/bin/sh\n'; cat pad; printf '\nexit %d\n' "$((i % 3))"; } >"job$i"
		zn-submit --key "k$i" --env "N=$i" --output /dev/null "./job$i" >/dev/null
	done
	timeout 60 zn-queue wait {3..26} || :
	zn-submit --hold --key waiting --env N=held --output held.out -- sh -c 'echo $N' >/dev/null
	has_snapshot() { compgen -G "$ZENITH_SPOOL/journal/*.zs" >/dev/null; }
	is_small() { [ "$(du -sk "$ZENITH_SPOOL/journal" | cut -f1)" -lt 100000 ]; }
	until_true has_snapshot
	until_true is_small # the old files go when the daemon has heard of the snapshot's end
	for _ in 1 2; do
		kill -KILL "$(pid_of zn-schedd)"
		[ "$(zn-submit --hold --key waiting --output held.out -- sh -c 'echo $N')" = 27 ]
		[ "$(zn-submit --key k7 --output /dev/null ./job7)" = 7 ]
		[ "$(state 1) $(field priority 1) $(field priority 2)" = "PENDING -3 -5" ]
	done
	[ "$(zn-queue history -o json | wc -l)" -eq 24 ]
	[ "$(field exit_code 8)" = 2 ]
	zn-queue release 27
	zn-queue wait 27
	[ "$(cat held.out)" = held ]
	run -0 zn-schedd --check-spool
	[[ $output == *"27 jobs, 0 damaged"* ]]
}

@test "a request that ends in the middle is answered with a sentence" {
	start
	request '{"op":"find","key":"abcdefgh"}' >message
	for n in 1 5 20; do
		head -c $n message | python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(sys.stdin.buffer.read()); s.shutdown(socket.SHUT_WR)
print(s.makefile("rb").read())' "$(sock)" >reply
		grep -q "ends in the middle, after $n bytes" reply
	done
	zn-submit --wait -- true
}

@test "after --stop the agent stays until its last job has ended, then leaves" {
	zn-submit --output /dev/null -- sh -c "until [ -e '$dir/go' ]; do sleep 0.05; done"
	await RUNNING 1
	agent=$(pid_of zn-noded | head -n 1)
	zn-schedd --stop
	run ! ended "$agent"
	touch go
	until_true ended "$agent"
	run -0 zn-queue wait 1
}

@test "what ends on a full disk is shown, also after zn-schedd was killed there" {
	[ "$(id -u)" = 0 ] || skip "only root can mount a small disk"
	mkdir small && mount -t tmpfs -o size=64m tmpfs small 2>/dev/null || skip "no file system can be mounted here"
	export ZENITH_SPOOL=$dir/small/spool
	for i in 1 2; do zn-submit --output /dev/null -- sh -c "until [ -e '$dir/go$i' ]; do sleep 0.05; done; exit 9"; done
	for i in 3 4; do zn-submit -g 4 --output /dev/null -- sleep 300; done
	for i in 5 6; do zn-submit -g 8 --output /dev/null -- sleep 300; done # wait
	for i in 1 2 3 4; do await RUNNING $i; done
	run -1 dd if=/dev/zero of=small/fill bs=64k # until there is no space left
	touch go1
	run -1 timeout 60 zn-queue wait 1
	run -0 timeout 60 zn-queue cancel --grace 1s 3 5
	run -1 timeout 60 zn-queue wait 3 5
	kill -KILL "$(pid_of zn-schedd)"
	touch go2
	run -1 timeout 60 zn-queue wait 2
	run -0 timeout 60 zn-queue cancel --grace 1s 4 6
	run -1 timeout 60 zn-queue wait 4 6
	[ "$(zn-queue list --all -o csv --fields id,state,exit_code --no-heading | tr -d '"' | sort | xargs)" = \
		"1,FAILED,9 2,FAILED,9 3,CANCELLED, 4,CANCELLED, 5,CANCELLED, 6,CANCELLED," ]
	[ "$(zn-queue nodes -o csv --fields gpus_free --no-heading)" = 8 ]
	zn-schedd --stop
	until_true none_is_left
	umount small
	export ZENITH_SPOOL=$dir/spool
}

@test "an end is in the history once, also where the clock was ahead before it was set right" {
	mkdir -m 700 "$ZENITH_SPOOL" && mkdir -p "$ZENITH_SPOOL/view/history"
	: >"$ZENITH_SPOOL/view/history/20991231.zv" # of the time when it was ahead
	zn-submit --wait -- true
	zn-schedd --stop
	zn-submit --wait -- true
	zn-schedd --stop
	zn-submit --wait -- true
	[ "$(zn-queue history -o csv --fields id --no-heading | sort | xargs)" = "1 2 3" ]
}

# Everything dies at once, and what the spool knows of is the boot before this one.
reboot() {
	until_true all_are_dead
	nodectl --reboot "$ZENITH_SPOOL/node/events" >events && cp events "$ZENITH_SPOOL/node/events"
	sed -i 's/^0/1/; t; s/^./0/' "$ZENITH_SPOOL/boot_id"
}
all_are_dead() {
	local pid pids spool=$ZENITH_SPOOL
	pids=$(ZENITH_SPOOL='' grep -lsF "ZENITH_SPOOL=$spool" /proc/[0-9]*/environ | cut -d/ -f3)
	for pid in $pids; do kill -STOP "$pid" 2>/dev/null || :; done # so that nobody sees another one die
	for pid in $pids; do kill -KILL "$pid" 2>/dev/null || :; done
	[ -z "$pids" ]
}

@test "after a reboot what ran is lost, or runs again where that was asked; what waited waits on, and the GPUs are free" {
	lost=$(zn-submit -g 4 --output /dev/null -- sleep 300)
	again=$(zn-submit -g 4 --requeue 1 --output /dev/null -- sh -c "echo x >>'$dir/runs'; until [ -e '$dir/go' ]; do sleep 0.05; done")
	waiting=$(zn-submit -g 8 --output /dev/null -- true)
	held=$(zn-submit --hold --output /dev/null -- true)
	await RUNNING "$lost"
	until_true has_lines 1 runs
	reboot
	ended=$(zn-submit --wait --output /dev/null -- true) # starts both anew
	[ "$(state "$ended")" = COMPLETED ]
	run -1 timeout 60 zn-queue wait "$lost"
	[ "$(state "$lost")" = FAILED ] && [ "$(field reason "$lost")" = "lost: the machine restarted" ]
	until_true has_lines 2 runs
	[ "$(field attempt "$again")" = 2 ]
	[ "$(zn-queue nodes -o csv --fields gpus_free --no-heading)" = 4 ]
	[ "$(state "$waiting")" = QUEUED ] && [ "$(state "$held")" = PENDING ]
	touch go
	timeout 60 zn-queue wait "$again" "$waiting"
	zn-queue release "$held"
	timeout 60 zn-queue wait "$held"
}

@test "without a watch on the drop directory it comes up all the same, and looks there from time to time" {
	command -v strace >/dev/null || skip "strace is not there"
	ZENITH_AUTOSTART=no zn-submit --key first -- true
	strace -f -o trace -e trace=inotify_init1 -e inject=inotify_init1:error=EMFILE zn-schedd 2>log 3>&- &
	until_true exists "$ZENITH_SPOOL/sock"
	grep -q "no watch on '.*/drop' can be had" log
	until_true eval 'zn-queue show key:first'
	zn-fmt -o msgpack <<<'{"key":"second","hold":true,"command":"true","directory":"/"}' >two
	mv two "$ZENITH_SPOOL/drop/$(id -u)/second.zr"
	until_true eval 'zn-queue show key:second'
}
