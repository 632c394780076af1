#!/usr/bin/env bats
# The agent: what it does for a scheduler, and what is left when somebody is killed.
# ZN_TEST_CONFINE=subreaper runs all of it without cgroups; tests/zn-noded-elsewhere.bats does, and as another user.
bats_require_minimum_version 1.5.0

setup() {
	dir=$(mktemp -d "${TMPDIR:-/tmp}/noded.XXXXXX")
	spool=$dir/spool
	mkdir "$spool"
	export ZENITH_LEASE_DIR=$dir/leases ZENITH_MOCK_GPUS=4 PATH=${B:-build}/tests:$PATH
	unset ZENITH_SPOOL ZENITH_JOB_ID
}

teardown() {
	for s in "$dir"/spool*; do
		pid=$(agent_pid "$s" 2>/dev/null) && kill "$pid" && gone "$pid"
	done
	rm -rf "$dir"
}

agent_pid() { nodectl "${1:-$spool}" <<<$'!hello\n!wait kind=hello' | field pid; }

start_agent() { zn-noded --detach --spool "${1:-$spool}" ${ZN_TEST_CONFINE:+--confine "$ZN_TEST_CONFINE"}; }

ctl() { timeout 60 nodectl "${on:-$spool}"; }

# field KEY: its value in the last line on standard input that has it.
field() { sed -n 's/.*"'"$1"'":"\{0,1\}\([^,"}]*\).*/\1/p' | tail -n 1; }

until_true() { for ((i = 0; i < 2000; i++)); do "$@" && return; read -rt 0.01 <> <(:) || :; done; return 1; }
has_lines() { [ "$(grep -c '' "$2" 2>/dev/null)" -ge "$1" ]; }
# A zombie has ended: who reaps orphans here may take its time.
ended() { for p; do [ ! -e "/proc/$p" ] || in_state Z "$p" || return 1; done; }
# All whose numbers are in a file.
all_ended() { local pids; read -rd '' -a pids <"$1" || :; [ ${#pids[@]} -gt 0 ] && ended "${pids[@]}"; }
gone() { until_true ended "$1"; }
in_state() { [[ $(sed 's/.*) \(.\).*/\1/' "/proc/$2/stat" 2>/dev/null) == ["$1"] ]]; }
frozen() { grep -q 'frozen 1' "$(cgroup_of "$1")/cgroup.events" 2>/dev/null || in_state T "$1"; }
thawed() { ! frozen "$1"; }
cgroup_of() {
	echo "$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)$(sed -n 's/^0:://p' "/proc/$1/cgroup")"
}

# job N SHELL-TEXT [MORE-JSON]: a start message.
job() {
	printf '{"kind":"start","job":%d,"attempt":1,"command":"/bin/sh","arguments":["-c","%s"],' "$1" "$2"
	printf '"directory":"%s","output":"%s/out.%d","tasks":1,"grace_s":%s,' "$dir" "$dir" "$1" "${grace:-5.0}"
	printf '"environment":{"PATH":"/usr/bin:/bin"}%s}\n' "${3:+,$3}"
}

steer() { printf '{"kind":"steer","op":"%s","job":%d,"attempt":1%s}\n' "$1" "$2" "${3:+,$3}"; }

# once N TEXT [MORE]: runs one job and prints its exit report.
once() {
	{ printf '!hello\n!ack\n'; job "$@"; printf '!wait kind=report what=exited job=%d\n' "$1"; } | ctl | tail -n 1
}

@test "a job's exit code, its output and what it used are reported" {
	start_agent
	run -0 once 1 'echo out; echo err >&2; exit 3'
	[[ $output == *'"what":"exited"'*'"exit_code":3'* ]]
	[[ $output == *'"max_rss_bytes":'*'"cpu_s":'*'"confinement":'* ]]
	[[ $output != *'"reason"'* ]]
	[[ $output != *'"signal"'* ]]
	[ "$(cat "$dir/out.1")" = $'out\nerr' ]
}

@test "a job that a signal ended has a signal and no exit code" {
	start_agent
	run -0 once 1 'kill -9 $$'
	[[ $output == *'"signal":9'* ]]
	[[ $output != *exit_code* ]]
}

@test "a command that is not there exits 127, one that can't be run 126, each with a sentence" {
	start_agent
	echo x >"$dir/data"
	for c in nosuch /no/such "$dir/data" "$dir"; do
		job 1 x | sed 's|"/bin/sh"|"'"$c"'"|' | { printf '!hello\n!ack\n'; cat; echo '!wait what=exited'; } |
			sed 's/"attempt":1/"attempt":'$((++n))'/' | ctl | tail -n 1 >>"$dir/all"
	done
	mapfile -t l <"$dir/all"
	[[ ${l[0]} == *'"exit_code":127,"reason":"command '"'nosuch' not found"'"'* ]]
	[[ ${l[1]} == *'"exit_code":127,"reason":"command '"'/no/such' not found"'"'* ]]
	[[ ${l[2]} == *'"exit_code":126'*"can't be run: Permission denied"* ]]
	[[ ${l[3]} == *'"exit_code":126'*"can't be run: Permission denied"* ]]
}

@test "a script runs with its arguments, from a private copy that is gone afterwards" {
	start_agent
	{
		printf '!hello\n!ack\n'
		printf '{"kind":"start","job":1,"attempt":1,"script":"echo $1-$2; ls -ld $(dirname $0) | cut -c1-10","arguments":["a","b c"],'
		printf '"directory":"%s","output":"%s/o","environment":{}}\n!wait what=exited exit_code=0\n' "$dir" "$dir"
		printf '{"kind":"start","job":2,"attempt":1,"script":"#!/usr/bin/awk -f\\nBEGIN { print 6 * 7 }\\n",'
		printf '"directory":"%s","output":"%s/o2"}\n!wait what=exited exit_code=0\n' "$dir" "$dir"
	} | ctl
	[ "$(cat "$dir/o")" = $'a-b c\ndrwx------' ]
	[ "$(cat "$dir/o2")" = 42 ]
	[ -z "$(ls "$spool/node/run")" ]
}

@test "a task has its environment, standard input from /dev/null, and no other descriptor" {
	start_agent
	once 8 'env; wc -c; for n in 0 1 2 3 4 5 6 7 8 9 10 11 12; do readlink /proc/self/fd/$n >/dev/null && echo fd$n; done; grep -E \"Sig(Ign|Blk)\" /proc/self/status; read -r _ _ _ _ _ sid _ </proc/$$/stat; [ $sid = $$ ] && echo own session' '"name":"train"'
	for line in ZENITH_JOB_ID=8 ZENITH_JOB_NAME=train "ZENITH_SPOOL=$spool" CUDA_VISIBLE_DEVICES= fd0 fd1 fd2 'own session' 0; do
		grep -qx "$line" "$dir/out.8" || { echo "no $line"; cat "$dir/out.8"; false; }
	done
	run ! grep -qE '^(RANK|MASTER_PORT|WORLD_SIZE)=|^fd([3-9]|1[1-9])' "$dir/out.8"
	grep -qE $'^SigBlk:\t0+$' "$dir/out.8"
	# Whoever was started with posix_spawn, by make for one, ignores the C library's own signals 32 and 33.
	grep -qE $'^SigIgn:\t0+(180000000)?$' "$dir/out.8"
}

@test "a job of several tasks has ranks, a port of its own and one output file by rank" {
	start_agent
	job 1 'echo $RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT $ZENITH_RANK_GPUS' '"tasks_":0' |
		sed 's/"tasks":1/"tasks":4/; s/out\.1/out.%r/; s/"tasks_":0/"gpus":[0,1,2,3]/' |
		{ printf '!hello\n!ack\n'; cat; echo '!wait what=exited exit_code=0'; } | ctl
	port=$(cut -d' ' -f5 "$dir/out.0")
	[ "$port" -gt 1024 ]
	for r in 0 1 2 3; do
		[[ $(cat "$dir/out.$r") == "$r $r 4 127.0.0.1 $port "[0-3] ]] || { cat "$dir"/out.*; false; }
	done
	[ "$(cut -d' ' -f6 "$dir"/out.? | sort -u | wc -l)" = 4 ]
}

@test "when one task fails the others are ended, and the exit is that of the first" {
	start_agent
	job 1 '[ $RANK = 2 ] && exit 5; exec sleep 60' | sed 's/"tasks":1/"tasks":4/' |
		{ printf '!hello\n!ack\n'; cat; echo '!wait what=exited'; } | ctl >"$dir/log"
	tail -n 1 "$dir/log" | grep -q '"exit_code":5'
}

@test "a second start of the same attempt is answered from the log and runs nothing" {
	start_agent
	{
		printf '!hello\n'; job 1 "echo x >>$dir/ran"; echo '!wait what=exited'; job 1 "echo x >>$dir/ran"
		echo '!wait what=exited job=1'; job 2 'sleep 60'; echo '!wait what=started job=2'; job 2 'sleep 60'
		echo '!wait what=started job=2'
	} | ctl
	[ "$(cat "$dir/ran")" = x ]
}

@test "a time limit ends everything, daemons that ignore SIGTERM too" {
	start_agent
	printf '#!/bin/sh\ntrap "" TERM\necho $$ >>%s/pids\nwhile :; do sleep 1; done\n' "$dir" >"$dir/daemon"
	chmod +x "$dir/daemon"
	grace=0.5
	run -0 once 1 "trap '' TERM; setsid $dir/daemon & (setsid $dir/daemon &); while :; do sleep 1; done" '"limit_s":0.5'
	echo "$output"
	[[ $output == *'"signal":9,"reason":"time limit"'* ]]
	has_lines 2 "$dir/pids"
	all_ended "$dir/pids"
}

@test "what a job leaves behind is ended before its exit is reported" {
	start_agent
	run -0 once 1 "for i in 1 2 3 4 5; do (setsid sleep 300 & echo \$! >>$dir/pids); done; exit 4"
	[[ $output == *'"exit_code":4'* ]]
	[[ $output != *reason* ]]
	all_ended "$dir/pids"
}

@test "a fork bomb can't outrun the end of its job" {
	start_agent
	# each process starts its successor and ends: whoever is seen is already gone
	grace=0.0
	run -0 once 1 'h() { h & }; for i in 1 2 3 4 5 6 7 8; do h & done; sleep 0.3; exit 6'
	[[ $output == *'"exit_code":6'* ]]
	run ! grep -lzx "ZENITH_SPOOL=$spool" /proc/[0-9]*/environ
}

@test "stop gives the job its reason and its grace" {
	start_agent
	{
		printf '!hello\n!ack\n'; job 1 "trap 'exit 9' USR1; echo ready >$dir/ready; while :; do sleep 0.05; done"
		until_true has_lines 1 "$dir/ready"; steer stop 1 '"reason":"cancelled","signal":10'
		echo '!wait what=exited exit_code=9 reason=cancelled'
	} | ctl
}

@test "suspend stops all of a job, resume goes on, and the time between does not count" {
	start_agent
	mkfifo "$dir/fifo"
	{
		printf '!hello\n!ack\n'
		job 1 "echo \$\$ >$dir/pid; setsid sh -c 'echo \$\$ >$dir/pid2; read x <$dir/fifo' & wait" '"limit_s":30.0'
		until_true has_lines 1 "$dir/pid2"; steer suspend 1
		until_true frozen "$(cat "$dir/pid")"; until_true frozen "$(cat "$dir/pid2")"
		touch "$dir/was-frozen"; steer resume 1; until_true thawed "$(cat "$dir/pid2")"
		echo go >"$dir/fifo"
		echo '!wait what=exited exit_code=0'
	} | ctl
	[ -e "$dir/was-frozen" ]
}

@test "a suspended job can be stopped" {
	start_agent
	{
		printf '!hello\n!ack\n'; job 1 "echo \$\$ >$dir/pid; while :; do sleep 0.1; done"
		until_true has_lines 1 "$dir/pid"; steer suspend 1; until_true frozen "$(cat "$dir/pid")"
		steer stop 1 '"reason":"cancelled"'; echo '!wait what=exited signal=15 reason=cancelled'
	} | ctl
}

@test "a limit can be changed while the job runs" {
	start_agent
	{
		printf '!hello\n!ack\n'; job 1 'sleep 60'; echo '!wait what=started'; steer limit 1 '"limit_s":0.1'
		echo '!wait what=exited reason=absent'
	} | sed 's/ reason=absent//' | ctl | tail -n 1 | grep -q '"reason":"time limit"'
}

@test "output goes to plain files and /dev/full, and a sentence names what is refused" {
	start_agent
	mkfifo "$dir/fifo"
	mkdir "$dir/isdir"
	ln -s "$dir/target" "$dir/link"
	try() { # FILE
		job 1 'echo hi' | sed "s|$dir/out.1|$1|; s/\"attempt\":1/\"attempt\":$((++n))/" |
			{ printf '!hello\n!ack\n'; cat; echo '!wait what=exited'; } | ctl | tail -n 1 >"$dir/report"
	}
	try "$dir/fifo"
	grep -q "\"reason\":\"output '$dir/fifo': is a FIFO" "$dir/report"
	run ! grep -q exit_code "$dir/report"
	try "$dir/isdir"
	grep -q "output '$dir/isdir': Is a directory" "$dir/report"
	try /dev/zero
	grep -q "output '/dev/zero': is a device" "$dir/report"
	try "$dir/no/such"
	grep -q "output '$dir/no/such': No such file or directory" "$dir/report"
	try /dev/full
	grep -qE '"exit_code":[12]' "$dir/report"
	try /dev/null
	grep -q '"exit_code":0' "$dir/report"
	try "$dir/link"
	[ "$(cat "$dir/target")" = hi ]
}

@test "an ordinary user's job does not write into somebody else's file" {
	[ "$(id -u)" -ne 0 ] || skip "we are root"
	start_agent
	file=$(find /var/tmp /tmp /etc /usr -maxdepth 1 -type f -writable ! -user "$(id -un)" 2>/dev/null | head -n 1)
	file=${ZN_TEST_FOREIGN:-$file}
	[ -n "$file" ] || skip "no file of another user that we may write"
	job 1 'echo hi' | sed "s|$dir/out.1|$file|" |
		{ printf '!hello\n!ack\n'; cat; echo '!wait what=exited'; } | ctl | tail -n 1 >"$dir/report"
	grep -q "output '$file': belongs to somebody else" "$dir/report"
}

@test "a first attempt empties its output, a second one appends; both streams share one file" {
	start_agent
	echo old >"$dir/out.1"
	once 1 'echo one; echo two >&2; echo three'
	[ "$(cat "$dir/out.1")" = $'one\ntwo\nthree' ]
	job 1 'echo again' | sed 's/"attempt":1/"attempt":2/' |
		{ printf '!hello\n!ack\n'; cat; echo '!wait what=exited'; } | ctl
	[ "$(cat "$dir/out.1")" = $'one\ntwo\nthree\nagain' ]
}

@test "a directory that vanished is a sentence, not an exit code" {
	start_agent
	job 1 'echo hi' | sed "s|\"directory\":\"$dir\"|\"directory\":\"$dir/gone\"|" |
		{ printf '!hello\n!ack\n'; cat; echo '!wait what=exited'; } | ctl | tail -n 1 >"$dir/report"
	grep -q "\"reason\":\"directory '$dir/gone': No such file or directory\"" "$dir/report"
	run ! grep -q exit_code "$dir/report"
}

@test "what was not acknowledged comes again, over reconnects and agents, under its number" {
	start_agent
	{ echo '!hello'; job 1 'exit 3'; echo '!wait what=exited'; } | ctl | grep report >"$dir/first"
	printf '!hello\n!wait kind=state\n' | ctl | grep report >"$dir/second"
	diff "$dir/first" "$dir/second"
	pid=$(agent_pid); kill "$pid"; gone "$pid"
	start_agent
	printf '!hello\n!wait kind=state\n' | ctl | grep report >"$dir/third"
	diff "$dir/first" "$dir/third"
	seq=$(field seq <"$dir/first")
	printf '!hello\n{"kind":"ack","seq":%s}\n!close\n!hello\n!wait kind=state\n!wait kind=hello\n' "$seq" | timeout 5 nodectl "$spool" >"$dir/fourth" || true
	[ "$(sed '1,/"kind":"state"/d' "$dir/fourth" | grep -c report)" = 0 ]
	pid=$(agent_pid); kill -9 "$pid"; gone "$pid"
	start_agent
	printf '!hello\n!wait kind=state\n' | ctl >"$dir/fifth"
	run ! grep report "$dir/fifth"
}

@test "kill -9 of the agent ends its jobs; the successor reports them lost" {
	start_agent
	{ echo '!hello'; job 1 "(setsid sleep 300 & echo \$! >>$dir/pids); echo \$\$ >>$dir/pids; exec sleep 300"
	  echo '!wait what=started'; until_true has_lines 2 "$dir/pids"; } | ctl
	pid=$(agent_pid); kill -9 "$pid"; gone "$pid"
	start_agent
	all_ended "$dir/pids"
	printf '!hello\n!wait what=exited job=1\n' | ctl | tail -n 1 >"$dir/report"
	grep -q '"reason":"lost: the agent died"' "$dir/report"
}

@test "an exit that came before the agent was killed is not lost" {
	start_agent
	{ echo '!hello'; job 1 'exit 7'; echo '!wait what=exited'; } | ctl
	pid=$(agent_pid); kill -9 "$pid"; gone "$pid"
	start_agent
	printf '!hello\n!wait what=exited job=1 exit_code=7 reason=absent\n' | ctl
}

@test "kill -9 of agent and shepherd together leaves nothing running" {
	start_agent
	{ echo '!hello'; job 1 "(setsid sleep 300 & echo \$! >>$dir/pids); echo \$\$ >>$dir/pids; exec sleep 300"
	  echo '!wait what=started'; until_true has_lines 2 "$dir/pids"; } | ctl
	pid=$(agent_pid)
	shepherd=$(pgrep -P "$pid" -x zn-job-1)
	kill -9 "$pid" "$shepherd"; gone "$pid"; gone "$shepherd"
	start_agent
	all_ended "$dir/pids"
	printf '!hello\n!wait what=exited job=1\n' | ctl | tail -n 1 | grep -q '"reason":"lost: the agent died"'
}

@test "kill -9 of a shepherd ends its job as lost, and no other job" {
	start_agent
	mkfifo "$dir/fifo"
	pid=$(agent_pid)
	{
		printf '!hello\n!ack\n'; job 1 "(setsid sleep 300 & echo \$! >>$dir/pids); echo \$\$ >>$dir/pids; exec sleep 300"
		job 2 "echo \$\$ >$dir/other; read x <$dir/fifo; exit 3"
		until_true has_lines 2 "$dir/pids"; until_true has_lines 1 "$dir/other"; pkill -9 -x zn-job-1 -P "$pid"
		echo '!wait job=1 what=exited exit_code=absent signal=absent'
		for p in $(cat "$dir/pids"); do gone "$p"; done
		echo go >"$dir/fifo"
		echo '!wait job=2 what=exited exit_code=3'
	} | ctl | grep -q '"reason":"lost: its shepherd was killed"'
}

@test "a shepherd that is killed before it has begun its job: nothing ran, and the job may be started again" {
	crash -r / -l /dev/null -- true || skip "processes can't be traced here"
	crash -r "$dir" -p "1 recvmsg socket #1" -a kill -m "$dir/reached" -- zn-noded --spool "$spool" 3>&- &
	until_true [ -S "$spool/node/sock" ]
	{
		printf '!hello\n!ack\n'; job 1 true; echo '!wait job=1 what=exited'
		job 2 "echo >$dir/ran"; echo '!wait job=2 what=refused again=true'
		job 2 "echo >$dir/ran" | sed 's/"attempt":1/"attempt":2/'; echo '!wait job=2 what=exited exit_code=0'
	} | ctl
	[ -e "$dir/reached" ] && [ -e "$dir/ran" ]
}

@test "a job that stops its shepherd does not outrun its limit" {
	start_agent
	run -0 once 1 'kill -STOP $PPID; sleep 300' '"limit_s":0.5'
	[[ $output == *'"reason":"time limit"'* ]]
}

@test "a job that never lets its shepherd rest is told to have started" {
	start_agent
	{
		printf '!hello\n!ack\n'; job 1 "while [ ! -e $dir/go ]; do (true &); done"
		echo '!wait what=started job=1'; touch "$dir/go"; echo '!wait what=exited exit_code=0'
	} | ctl
}

# no_log: from now on the log can't be written, as on a full disk; log_again: it can.
no_log() { mv "$spool/node/events" "$dir/aside"; mkdir "$spool/node/events"; }
log_again() { rmdir "$spool/node/events"; mv "$dir/aside" "$spool/node/events"; }

@test "a refusal that can't be logged is said all the same" {
	start_agent
	no_log
	{ printf '!hello\n!ack\n'; job 1 true '"gpus":[17]'; echo '!wait what=refused again=false'; } | ctl
	log_again
}

@test "an end that can't be logged comes when it can" {
	start_agent
	pid=$(agent_pid)
	{
		printf '!hello\n!ack\n'; job 1 "echo \$\$ >$dir/pid; exec sleep 300"
		job 2 "echo \$\$ >$dir/pid2; exec sleep 300"
		until_true has_lines 1 "$dir/pid"; until_true has_lines 1 "$dir/pid2"
		no_log
		pkill -9 -x zn-job-1 -P "$pid"; gone "$(cat "$dir/pid")"
		kill "$(cat "$dir/pid2")"; gone "$(cat "$dir/pid2")"
		log_again
		echo '!wait what=exited'; echo '!wait what=exited'
	} | ctl >"$dir/said"
	grep -q '"exited".*"job":1,.*"reason":"lost: its shepherd was killed"' "$dir/said"
	grep -q '"exited".*"job":2,.*"signal":15' "$dir/said"
}

@test "when the spool is removed nothing stays behind" {
	start_agent
	pid=$(agent_pid)
	{ echo '!hello'; job 1 "echo \$\$ >$dir/pid; exec sleep 300"; job 2 "exec sleep 300"
	  echo '!wait what=started job=2'; until_true has_lines 1 "$dir/pid"; } | ctl
	shepherds=$(pgrep -x 'zn-job-[12]' -P "$pid")
	rm -rf "$spool"
	kill "$(cat "$dir/pid")"
	for p in $shepherds $pid; do gone "$p"; done
}

@test "a reboot is told from a crash" {
	start_agent
	{ echo '!hello'; job 1 'sleep 300'; echo '!wait what=started'; } | ctl
	pid=$(agent_pid); shepherd=$(pgrep -P "$pid" -x zn-job-1)
	cp "$spool/node/events" "$dir/events"
	kill "$pid"; gone "$pid"; gone "$shepherd"
	# the boot id of the log is another one; its frame keeps its CRC
	nodectl --reboot "$dir/events" >"$spool/node/events"
	start_agent
	printf '!hello\n!wait what=exited job=1\n' | ctl | tail -n 1 | grep -q '"reason":"lost: the machine restarted"'
}

@test "SIGTERM ends the jobs properly before the agent leaves" {
	start_agent
	{ echo '!hello'; job 1 "trap 'echo bye >$dir/bye; exit 0' TERM; echo x >$dir/ready; while :; do sleep 0.05; done"
	  until_true has_lines 1 "$dir/ready"; } | ctl
	pid=$(agent_pid); kill "$pid"; gone "$pid"
	[ "$(cat "$dir/bye")" = bye ]
	start_agent
	printf '!hello\n!wait what=exited job=1 exit_code=0\n' | ctl | grep -q '"reason":"lost: the agent was told to end"'
}

@test "told to retire, the agent leaves when nothing runs and nobody is connected; the next one says what is unsaid" {
	start_agent
	pid=$(agent_pid)
	{ printf '!hello\n'; job 1 "until [ -e '$dir/go' ]; do sleep 0.05; done"; steer retire 0
	  echo '!wait what=started'; } | ctl
	run ! gone_already "$pid"
	touch "$dir/go"
	gone "$pid"
	start_agent
	printf '!hello\n!wait what=exited job=1 exit_code=0\n' | ctl
}

@test "a scheduler that comes back takes a retirement back" {
	start_agent
	pid=$(agent_pid)
	{ printf '!hello\n'; job 1 "until [ -e '$dir/go' ]; do sleep 0.05; done"; steer retire 0
	  echo '!wait what=started'; } | ctl
	printf '!hello\n!wait kind=hello\n' | ctl # the job still runs, so the agent is there to be taken back
	touch "$dir/go"
	printf '!hello\n!wait what=exited exit_code=0\n' | ctl
	printf '!hello\n!ack\n' | ctl
	run ! gone_already "$pid"
}
gone_already() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

@test "one agent has a spool" {
	start_agent
	run -75 zn-noded --spool "$spool"
	[[ $output == *"another agent has '$spool/node'"* ]]
}

@test "a directory that others may write to, or that lies elsewhere, holds no agent" {
	mkdir -m 777 "$spool/node"
	chmod 777 "$spool/node"
	run -77 start_agent
	[ "$output" = "zn-noded: others may write to directory '$spool/node'" ]
	mv "$spool/node" "$dir/elsewhere"
	chmod 700 "$dir/elsewhere"
	ln -s "$dir/elsewhere" "$spool/node"
	run -71 start_agent
	[[ $output == "zn-noded: directory '$spool/node': "* ]]
	rm "$spool/node"
}

@test "a GPU has one holder, also between agents, and the refusal names who has it" {
	start_agent
	mkdir "$dir/spool2"
	start_agent "$dir/spool2"
	pid=$(agent_pid)
	{ printf '!hello\n!ack\n'; job 1 'sleep 300' '"gpus":[2]'; echo '!wait what=started'; } | ctl
	on=$dir/spool2
	{ printf '!hello\n!ack\n'; job 5 'true' '"gpus":[1,2]'; echo '!wait what=refused'; } | ctl | tail -n 1 >"$dir/report"
	grep -q '"again":true' "$dir/report"
	grep -q "\"reason\":\"gpu 2 is held by pid $pid of $(id -un), outside this queue\"" "$dir/report"
	printf '!hello\n!wait kind=state\n' | ctl | grep -q '"held":\[{"gpu":2,"pid":'"$pid"',"user":"'"$(id -un)"'"'
	{ printf '!hello\n!ack\n'; job 6 'echo $CUDA_VISIBLE_DEVICES' '"gpus":[0,1,3]'; echo '!wait what=exited exit_code=0'; } | ctl
	[ "$(cat "$dir/out.6")" = 0,1,3 ]
}

@test "a GPU is free when its job's end is told, though a shepherd that is just forked has the lease, too" {
	command -v strace >/dev/null || skip "strace is not there"
	start_agent
	strace -f -o "$dir/calls" -e trace=close_range -e inject=close_range:delay_enter=1000000 -p "$(agent_pid)" 2>"$dir/attached" 3>&- &
	until_true grep -qs attached "$dir/attached"
	mkfifo "$dir/fifo"
	{
		printf '!hello\n!ack\n'; job 1 "read x <$dir/fifo" '"gpus":[1]'; echo '!wait what=started job=1'
		until_true [ -e "$dir/go" ]; job 2 true '"gpus":[2]'; echo go >"$dir/fifo"; echo '!wait what=exited job=1'
		job 3 true '"gpus":[1]'; echo '!wait what=exited job=3'
	} | ctl >"$dir/reports" &
	told=$!
	until_true grep -qs started "$dir/reports"
	touch "$dir/go"
	wait $told
	run ! grep refused "$dir/reports"
	grep -q '"what":"exited".*"job":3\|"job":3.*"what":"exited"' "$dir/reports"
}

@test "a watcher hears when a stranger gives a GPU back" {
	start_agent
	mkdir "$dir/spool2"
	start_agent "$dir/spool2"
	mkfifo "$dir/fifo"
	{
		printf '!hello\n!ack\n'; job 1 "read x <$dir/fifo" '"gpus":[2]'; echo '!wait what=started'
		until_true [ -e "$dir/go" ]; echo go >"$dir/fifo"; echo '!wait what=exited'
	} | ctl >"$dir/one" &
	until_true grep -q started "$dir/one"
	{ printf '!hello\n'; steer watch 0; echo '!wait kind=state held=absent'; } |
		{ on=$dir/spool2; ctl; } >"$dir/two" &
	until_true grep -q '"held":\[{"gpu":2' "$dir/two"
	touch "$dir/go"
	wait
	tail -n 1 "$dir/two" | grep -q '"kind":"state"'
}

@test "a lease ends only when the job's processes are gone, and a killed agent frees nothing early" {
	start_agent
	mkdir "$dir/spool2"
	start_agent "$dir/spool2"
	{ printf '!hello\n!ack\n'; job 1 "trap '' TERM; echo \$\$ >$dir/pid; while :; do sleep 0.1; done" '"gpus":[0]'
	  echo '!wait what=started'; until_true has_lines 1 "$dir/pid"; } | ctl
	job_pid=$(cat "$dir/pid")
	pid=$(agent_pid); kill -9 "$pid"; gone "$pid"
	on=$dir/spool2
	for ((n = 1; n < 1000; n++)); do
		{ printf '!hello\n!ack\n'; job 9 'true' '"gpus":[0]' | sed "s/\"attempt\":1/\"attempt\":$n/"
		  echo "!wait kind=report attempt=$n"; } | ctl | tail -n 1 >"$dir/report"
		grep -q '"what":"started"' "$dir/report" && break
		grep -q '"again":true' "$dir/report"
	done
	ended "$job_pid"
}

@test "a lease directory that is a symlink, or lets others remove our leases, is refused" {
	mkdir -m 777 "$dir/plain"
	ln -s "$dir/plain" "$dir/symlink"
	for d in plain symlink; do
		ZENITH_LEASE_DIR=$dir/$d start_agent
		{ printf '!hello\n!ack\n'; job 1 'true' '"gpus":[0]'; echo '!wait what=refused again=true'; } | ctl
		pid=$(agent_pid); kill "$pid"; gone "$pid"
	done
	grep -q "lease directory '$dir/plain' is not sticky" "$spool/node/log"
}

@test "a start that can never work is refused for good" {
	start_agent
	{
		printf '!hello\n!ack\n'; job 1 true '"gpus":[17]'; echo '!wait what=refused again=false'
		job 2 true '"gpus":[1,1]'; echo '!wait what=refused again=false'
		job 3 true '"limit_s":0.0'; echo '!wait what=refused again=false'
		echo '{"kind":"start","job":4,"attempt":1}'; echo '!wait what=refused again=false'
	} | ctl
	[ "$(id -u)" -ne 0 ] || return 0
	{ printf '!hello\n!ack\n'; job 5 true '"uid":1,"gid":1'; echo '!wait what=refused again=false'; } | ctl |
		grep -q "can't become user 1"
}

@test "as root, jobs run as their submitter, and never as a system account" {
	[ "$(id -u)" -eq 0 ] || skip "not root"
	chmod 711 "$dir" "$spool"
	mkdir -m 777 "$dir/open"
	start_agent
	{
		printf '!hello\n!ack\n'
		job 1 'id -u; id -g; echo x >mine; umask' '"uid":54321,"gid":54322,"umask":63' |
			sed "s|\"directory\":\"$dir\"|\"directory\":\"$dir/open\"|; s|$dir/out.1|$dir/open/out|"
		echo '!wait what=exited exit_code=0'
		job 2 true '"uid":2,"gid":2'; echo '!wait what=refused again=false'
		printf '{"kind":"start","job":3,"attempt":1,"script":"id -u","uid":54321,"gid":54322,"directory":"/","output":"%s/open/s"}\n' "$dir"
		echo '!wait what=exited exit_code=0'
	} | ctl
	[ "$(cat "$dir/open/out")" = $'54321\n54322\n0077' ]
	[ "$(stat -c %u:%a "$dir/open/mine")" = 54321:600 ]
	[ "$(cat "$dir/open/s")" = 54321 ]
	for gid in 0 6 54322; do # not one of them is nobody's
		uid=54321
		[ $gid != 54322 ] || uid=65534
		{ printf '!hello\n!ack\n'; job 1$gid true "\"uid\":$uid,\"gid\":$gid"; echo '!wait what=exited'; } | ctl |
			grep -q '"reason":"user .* group '$gid
	done
	{
		printf '!hello\n!ack\n'; job 9 'id -g; id -G' '"uid":65534' |
			sed "s|\"directory\":\"$dir\"|\"directory\":\"/\"|; s|$dir/out.9|$dir/open/out9|"
		echo '!wait what=exited exit_code=0'
	} | ctl
	[ "$(cat "$dir/open/out9")" = "$(id -g nobody)"$'\n'"$(id -G nobody)" ]
	printf '{"kind":"start","job":8,"attempt":1,"script":"touch $(dirname $0)/x; stat -c %%u:%%a $0 $(dirname $0)","uid":54321,"gid":54322,"directory":"/","output":"%s/open/s8"}\n' "$dir" |
		{ printf '!hello\n!ack\n'; cat; echo '!wait what=exited exit_code=0'; } | ctl
	[[ $(cat "$dir/open/s8") == *$'denied\n54321:700\n0:711' ]]
	echo no >"$dir/open/roots"; chmod 666 "$dir/open/roots"
	job 4 'echo hi' '"uid":54321,"gid":54322' | sed "s|$dir/out.4|$dir/open/roots|" |
		{ printf '!hello\n!ack\n'; cat; echo '!wait what=exited'; } | ctl | tail -n 1 >"$dir/report"
	grep -q "output '$dir/open/roots': belongs to somebody else" "$dir/report"
	[ "$(cat "$dir/open/roots")" = no ]
}

@test "only the agent's user, root and a scheduler that was named may talk to it" {
	[ "$(id -u)" -eq 0 ] || skip "not root"
	chmod 711 "$dir" "$spool"
	start_agent
	chmod 711 "$spool/node"
	chmod 666 "$spool/node/sock"
	printf '!wait closed\n' | timeout 5 runuser -u nobody -- "$B/tests/nodectl" "$spool"
	pid=$(agent_pid); kill "$pid"; gone "$pid"
	zn-noded --detach --spool "$spool" --system --user nobody
	[ "$(stat -c %U:%a "$spool/node/sock")" = nobody:600 ]
	{
		printf '!hello\n!ack\n'; job 1 true; echo '!wait what=refused again=false'
		job 2 true '"uid":0'; echo '!wait what=refused again=false'
		job 3 true '"uid":54321,"gid":54321' | sed "s|$dir/out.3|/dev/null|"; echo '!wait what=exited exit_code=0'
	} | timeout 20 runuser -u nobody -- "$B/tests/nodectl" "$spool"
}

@test "a memory limit ends the job with a sentence, or is said not to be enforced" {
	start_agent
	run -0 once 1 "head -c 200000000 /dev/zero | tail -c 150000000 | wc -c" '"mem_bytes":50000000'
	case $output in
	*'memory limit not enforced'*) [[ $output == *'"exit_code":0'* ]] ;;
	*) [[ $output == *'"reason":"out of memory: limit 47.7M"'* ]] || { echo "$output"; false; } ;;
	esac
}

@test "CPUs and memory that are not here leave the job unpinned, and the report says so" {
	start_agent
	cpu=$(taskset -pc $$ | sed 's/.*: \([0-9]*\).*/\1/')
	run -0 once 1 'taskset -pc $$' "\"cpus\":\"$cpu\",\"numas\":\"0\""
	[[ $output == *'"exit_code":0'* ]]
	grep -q "affinity list: $cpu\$" "$dir/out.1"
	[[ $output != *'not pinned'* ]]
	run -0 once 2 true '"cpus":"900-903","numas":"77"'
	[[ $output == *'not pinned: none of cpus 900-903 is ours; no memory policy: there is no node 77 here'* ]]
}

@test "garbage, a wrong version and silence cost a connection and nothing else" {
	start_agent
	{ echo '!hello'; job 1 'sleep 300'; echo '!wait what=started'; } | ctl
	printf '!raw GET / HTTP/1.0\n!wait closed\n' | ctl
	printf '{"kind":"hello","version":0}\n!wait closed\n' | ctl
	{ job 2 true; echo '!wait closed'; } | ctl
	printf '!hello\n!wait kind=state\n!raw ZNF1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n!wait closed\n' | ctl
	printf '!hello\n{"kind":"start","job":-4}\n!wait closed\n' | ctl
	printf '!hello\n{"kind":"from the future","x":1}\n!hello\n!wait kind=hello\n' | ctl
	printf '!wait closed\n' | timeout 15 nodectl "$spool"
	printf '!hello\n!wait kind=state\n' | ctl | grep -q '"jobs":\[{"job":1'
}

@test "an agent without a descriptor left turns callers away, and goes on when there are some again" {
	(ulimit -n 20; start_agent)
	pid=$(agent_pid)
	crowd=()
	for i in 1 2 3 4 5 6 7 8; do
		nodectl "$spool" <<<'!wait closed' 3>&- &
		crowd+=($!)
	done
	full() { [ "$(ls "/proc/$pid/fd" | wc -l)" = 20 ]; }
	until_true full
	timeout 5 nodectl "$spool" <<<'!wait closed'
	kill "${crowd[@]}"
	not_full() { ! full; }
	until_true not_full
	run -0 once 1 'exit 3'
	[[ $output == *'"exit_code":3'* ]]
}

@test "an agent that was started in the background keeps no descriptor of who started it" {
	exec 8>"$dir/lock"
	flock 8
	start_agent
	exec 8>&-
	flock -n "$dir/lock" true
}

@test "a limit on the size of files ends no agent with a signal" {
	(ulimit -f 1; start_agent)
	pid=$(agent_pid)
	{
		echo '!hello'
		for n in {1..12}; do job $n true '"gpus":[17]'; echo "!wait what=refused job=$n"; done
	} | ctl | tail -n 1 | grep -q '"seq":0' # said, but not logged
	[ "$(agent_pid)" = "$pid" ]
}

@test "an agent lives on when nobody reads what it says" {
	mkfifo "$dir/said"
	zn-noded --spool "$spool" 2>"$dir/said" &
	agent=$!
	head -n 1 "$dir/said" >"$dir/first"
	printf '!raw GET / HTTP/1.0\n!wait closed\n' | ctl # which it remarks on
	run -0 once 1 'kill -PIPE $$'
	[[ $output == *'"signal":13'* ]]
	[ "$(agent_pid)" = "$agent" ]
}

# slow_driver: two GPUs of a driver that answers nothing while $dir/wait is there, but to who writes into it.
slow_driver() {
	mkdir "$dir/driver"
	ln -s "$B/tests/nvidia-ml.so" "$dir/driver/libnvidia-ml.so.1"
	export LD_LIBRARY_PATH=$dir/driver FAKE_NVML_WAIT=$dir/wait
	unset ZENITH_MOCK_GPUS
	start_agent
	mkfifo "$dir/wait"
}

@test "a cancel does not overtake a start that waits for the driver" {
	slow_driver
	{
		printf '!hello\n!ack\n'; job 1 "echo x >$dir/ran; exec sleep 300" '"gpus":[0]'
		steer stop 1 '"reason":"cancelled"'; echo x >"$dir/wait"
		echo '!wait what=exited job=1 reason=cancelled'
	} | ctl
}

@test "a driver that hangs holds up no start for longer than half a minute" {
	slow_driver
	given_up() { grep -q 'the driver does not answer' "$spool/node/log"; }
	{
		printf '!hello\n!ack\n'; job 1 'exit 3' '"gpus":[0]'; job 2 'exit 4'
		echo '!wait what=exited job=2 exit_code=4'; until_true given_up || until_true given_up
		echo '!wait what=exited job=1 exit_code=3'
	} | timeout 90 nodectl "$spool"
}

@test "starts that come one after the other ask one looker, which leaves soon after the last" {
	mkdir "$dir/driver"
	ln -s "$B/tests/nvidia-ml.so" "$dir/driver/libnvidia-ml.so.1"
	export LD_LIBRARY_PATH=$dir/driver FAKE_NVML_OPENED=$dir/opened
	unset ZENITH_MOCK_GPUS
	start_agent
	{
		printf '!hello\n!ack\n'
		for n in {1..12}; do job $n true '"gpus":[0]'; echo "!wait what=exited job=$n exit_code=0"; done
	} | ctl
	[ "$(wc -l <"$dir/opened")" -ge 13 ]
	[ "$(sort -u "$dir/opened" | wc -l)" -lt 6 ]
	until_true eval '[ -z "$(pgrep -P "$(agent_pid)")" ]'
}

@test "a looker that died between two questions is replaced" {
	mkdir "$dir/driver"
	ln -s "$B/tests/nvidia-ml.so" "$dir/driver/libnvidia-ml.so.1"
	export LD_LIBRARY_PATH=$dir/driver
	unset ZENITH_MOCK_GPUS
	start_agent
	pid=$(agent_pid)
	{
		printf '!hello\n!ack\n'
		for n in 1 2 3; do
			job $n true '"gpus":[0]'; echo "!wait what=exited job=$n exit_code=0"
			pkill -9 -x zn-look -P "$pid"
		done
	} | ctl
}

@test "a shepherd that knows the machine as it was gets no other job" {
	mkdir "$dir/driver"
	export LD_LIBRARY_PATH=$dir/driver
	unset ZENITH_MOCK_GPUS
	start_agent
	ln -s "$B/tests/nvidia-ml.so" "$dir/driver/libnvidia-ml.so.1"
	{
		printf '!hello\n!ack\n'; job 1 'exec sleep 300'; echo '!wait what=started job=1'
		steer state 0; echo '!wait kind=state'
		steer stop 1; echo '!wait what=exited job=1'
		job 2 'echo $CUDA_VISIBLE_DEVICES' '"gpus":[0]'; echo '!wait what=exited job=2'
	} | ctl
	[ "$(cat "$dir/out.2")" = GPU-fake-18 ]
}

@test "what the driver says only later is known from the next start of a GPU job on" {
	mkdir "$dir/driver"
	ln -s "$B/tests/nvidia-ml.so" "$dir/driver/libnvidia-ml.so.1"
	export LD_LIBRARY_PATH=$dir/driver FAKE_NVML_LATE=$dir/late
	unset ZENITH_MOCK_GPUS
	start_agent
	{
		printf '!hello\n!ack\n'
		job 1 'echo $CUDA_VISIBLE_DEVICES' '"gpus":[0]'; echo '!wait what=exited job=1'
		until_true [ -s "$dir/out.1" ] && touch "$dir/late"
		job 2 'echo $CUDA_VISIBLE_DEVICES' '"gpus":[0]'; echo '!wait what=exited job=2'
	} | ctl
	[ "$(cat "$dir/out.1" "$dir/out.2" | paste -sd' ')" = "0 GPU-fake-18" ]
}

@test "a frame cut at any byte starts nothing and harms nobody" {
	start_agent
	{
		echo '!hello'
		for ((i = 0; i < 450; i++)); do echo "!cut $i"; job 1 "echo x >>$dir/ran"; echo '!hello'; done
		job 2 'exit 0'; echo '!wait what=exited job=2 exit_code=0'
	} | ctl
	[ ! -e "$dir/ran" ]
}

@test "the relay carries a conversation and ends with either side" {
	start_agent
	run -0 zn-noded --attach --spool "$spool" </dev/null
	run -69 zn-noded --attach --spool "$dir"
	{ nodectl --hello; until_true [ -s "$dir/heard" ]; } | zn-noded --attach --spool "$spool" >"$dir/heard"
	[ "$(head -c 4 "$dir/heard")" = ZNF1 ]
	grep -qa hello "$dir/heard"
}

@test "an idle agent wakes up for nothing" {
	start_agent
	once 1 true
	pid=$(agent_pid)
	switches() { awk '/ctxt_switches/ { n += $2 } END { print n }' "/proc/$pid/status"; }
	until_true eval '[ -z "$(pgrep -P $pid)" ]' # the shepherd that waited for another job was let go
	until_true in_state S "$pid"
	before=$(switches)
	run timeout 2 tail -f /dev/null
	[ "$(switches)" = "$before" ]
	[ "$(ls "/proc/$pid/task" | wc -l)" = 1 ]
}

@test "jobs of one user one after the other have one shepherd, which leaves soon after the last" {
	start_agent
	for n in 1 2 3; do once $n 'echo $PPID; grep Name: /proc/$PPID/status' >/dev/null; done
	[ "$(head -qn 1 "$dir"/out.[123] | sort -u | wc -l)" -eq 1 ]
	[ "$(tail -qn 1 "$dir"/out.[123] | tr -d '\t' | paste -sd' ')" = "Name:zn-job-1 Name:zn-job-2 Name:zn-job-3" ]
	until_true eval '[ -z "$(pgrep -P "$(agent_pid)")" ]'
}

@test "a description that fits into no packet is started all the same, leases and all" {
	start_agent
	once 1 true >/dev/null
	long=$(head -c 100000 /dev/zero | tr '\0' x)
	{ printf '!hello\n!ack\n'; job 2 'echo ${#LONG} $CUDA_VISIBLE_DEVICES' '"gpus":[1,2]' | sed "s/\"environment\":{/&\"LONG\":\"$long\",/"
	  echo '!wait what=exited exit_code=0'; } | ctl >/dev/null
	grep -x "100000 1,2" "$dir/out.2"
	{ printf '!hello\n!ack\n'; job 3 'echo $CUDA_VISIBLE_DEVICES' '"gpus":[1,2]'; echo '!wait what=exited exit_code=0'; } | ctl >/dev/null
	grep -x "1,2" "$dir/out.3" # a shepherd that waited got it with its leases
}

@test "a scheduler of a later or an earlier release is understood: what is new is skipped, what is missing has a default" {
	start_agent
	{
		printf '{"kind":"hello","version":1000,"mood":{"a":[1,null]}}\n{"kind":"forecast","rain":true}\n!ack\n'
		job 1 'exit 3' '"later":{"x":1},"gpus":[0]'
		echo '!wait what=exited job=1 exit_code=3'
		steer dance 1
		printf '{"kind":"steer","op":"dance","job":0}\n'
		printf '!close\n{"kind":"hello","version":1}\n!ack\n{"kind":"start","job":2,"attempt":1,"command":"/bin/true"}\n'
		echo '!wait what=exited job=2 exit_code=0'
	} | ctl
}

@test "acknowledged entries are forgotten, and the log does not grow" {
	start_agent
	# as long as it takes here: nodectl gives up when there is no answer for 20 s
	printf '!hello\n!bench 4000 2 /bin/true\n' | nodectl "$spool"
	[ "$(stat -c %s "$spool/node/events")" -lt 1400000 ]
}

@test "killed two hundred times at random instants, agents lose no exit and run nothing twice" {
	kills=${ZN_TEST_KILLS:-200}
	run -0 nodekill "$spool" "$kills" "${ZN_TEST_SEED:-1}"
	echo "${lines[-1]}"
	[[ ${lines[-1]} == "$kills kills, "* ]]
	start_agent
}

@test "root's agent does not serve the spool of somebody else" {
	[ "$(id -u)" = 0 ] || skip "only root can give a directory away"
	mkdir "$dir/theirs" && chown 65534 "$dir/theirs"
	run --separate-stderr -77 zn-noded --spool "$dir/theirs"
	[[ $stderr == *"spool '$dir/theirs' belongs to somebody else" ]]
	[ ! -e "$dir/theirs/node" ]
}
