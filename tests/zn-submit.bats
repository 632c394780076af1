#!/usr/bin/env bats
# zn-submit: jobs go into the queue, exactly once, and mistakes are told before.
load queue.bash

@test "a submit prints the job number alone, and the job runs here with this environment" {
	export COLOUR=blue
	run -0 zn-submit -- /bin/sh -c 'echo "$COLOUR $PWD"; echo oops >&2'
	[ "$output" = 1 ]
	zn-queue wait 1
	[ "$(cat zn-1.out)" = "$(printf 'blue %s\noops' "$dir")" ]
}

@test "--wait exits with the job's status: 0, 3, and 143 for SIGTERM" {
	run -0 zn-submit --wait --output /dev/null -- true
	run -3 zn-submit --wait --output /dev/null -- sh -c 'exit 3'
	run -143 zn-submit --wait --output /dev/null -- sh -c 'kill -TERM $$'
}

@test "--wait for a command that is not there exits 127, for one that can't be run 126" {
	echo text >plain
	run -127 zn-submit --wait --output /dev/null -- ./absent
	run -126 zn-submit --wait --output /dev/null -- ./plain
	[[ $(field reason 1) == *absent*"not found"* ]]
}

@test "--wait for a job that is cancelled before it starts exits 125 and says so" {
	blocker -g 8 >/dev/null
	zn-submit --wait -g 8 -- true >out 2>err &
	pid=$!
	until_true has_lines 1 out
	zn-queue cancel 2
	status=0
	wait $pid || status=$?
	[ $status -eq 125 ]
	grep -q "job 2 is CANCELLED" err
	touch go
}

@test "--follow shows the output as it comes, and nothing else" {
	run -5 zn-submit --follow -- sh -c 'echo one; sleep 0.3; echo two; exit 5'
	[ "$output" = $'one\ntwo' ]
}

@test "a script is copied when it is submitted, its #ZN lines are options, and the command line wins" {
	printf '%s\n' '#!/bin/sh' '#ZN -g 2 --name night' '#ZN --env WORD="a b" --hold' 'echo "$WORD $1"' >job.sh
	zn-submit --name day job.sh arg
	echo 'echo changed' >job.sh
	[ "$(field gpus 1)" = 2 ] && [ "$(field name 1)" = day ] && [ "$(state 1)" = PENDING ]
	zn-queue release 1
	zn-queue wait 1
	[ "$(cat zn-1.out)" = "a b arg" ]
}

@test "a script with an option that is none exits 64 and names it; nothing was submitted" {
	printf '%s\n' '#!/bin/sh' '#ZN --frobnicate' >job.sh
	run --separate-stderr -64 zn-submit job.sh
	[[ $stderr == *frobnicate* ]]
	[ -z "$(zn-queue -o json)" ]
}

@test "the same key is the same job, also after it ended; other content is refused with 65" {
	[ "$(zn-submit --key k1 --output /dev/null -- true)" = 1 ]
	[ "$(zn-submit --key k1 --output /dev/null -- true)" = 1 ]
	zn-queue wait 1
	[ "$(zn-submit --key k1 --output /dev/null -- true)" = 1 ]
	[ "$(PWD_OF_THE_RETRY=x zn-submit --key k1 --output /dev/null -- true)" = 1 ]
	run --separate-stderr -65 zn-submit --key k1 --output /dev/null -- false
	[[ $stderr == *"'k1'"*"job 1"* ]]
	[ "$(zn-submit --output /dev/null -- true)" = 2 ]
}

@test "8 clients that submit the same 50 keys at once make 50 jobs" {
	for i in $(seq 50); do
		echo "{\"key\":\"k$i\",\"command\":\"true\",\"output\":\"/dev/null\",\"hold\":true}"
	done >jobs.json
	for c in 1 2 3 4 5 6 7 8; do zn-submit --records <jobs.json >"ids.$c" & pids[c]=$!; done
	for c in 1 2 3 4 5 6 7 8; do wait "${pids[c]}"; done
	for c in 2 3 4 5 6 7 8; do cmp ids.1 "ids.$c"; done
	[ "$(zn-queue -o json | grep -c '')" -eq 50 ]
}

@test "records come as JSON Lines or MessagePack and mean the same" {
	echo '{"command":"true","job_name":"a","hold":true,"resources":{"gpus":2,"time_limit_s":60.0},"policy":{"priority":7}}' >one
	[ "$(zn-submit --records <one)" = 1 ]
	[ "$(zn-fmt -o msgpack <one | zn-submit --records)" = 2 ]
	a=$(zn-queue show -o json --fields name,gpus,time_limit_s,priority,state 1)
	[ "$a" = "$(zn-queue show -o json --fields name,gpus,time_limit_s,priority,state 2)" ]
	[[ $a == *'"gpus":2'* && $a == *'"priority":7'* ]]
}

@test "the first bad record ends the run with 65; the numbers before it are printed, nothing after it is submitted" {
	good='{"command":"true","hold":true}'
	for bad in '{"command":""}' '{"command":"true","resources":{"tasks":0}}' '{"command":"true","resources":{"gpus":-1}}' \
		'{"command":"true","policy":{"array":"3-1"}}' '{"command":7}' 'nonsense' '{"command":"true","command":"false"}' \
		'{"command":"true","resources":{"time_limit_s":1e999}}' '{"command":"a\u0000b"}' '{"command":"true","directory":"tmp"} x'; do
		n=$(zn-queue -o json | grep -c '') || :
		run --separate-stderr -65 zn-submit --records < <(printf '%s\n%s\n%s\n%s\n' "$good" "$good" "$bad" "$good")
		[ "${#lines[@]}" -eq 2 ] || { echo "$bad: $output"; return 1; }
		[ "${#stderr_lines[@]}" -eq 1 ] || { echo "$bad: $stderr"; return 1; }
		[ "$(zn-queue -o json | grep -c '')" -eq $((n + 2)) ] || { echo "$bad was followed"; return 1; }
	done
}

@test "a record without environment gets a login's, and no shell stands between" {
	printf '%s\n' '{"command":"/usr/bin/env","output":"o"}' \
		'{"command":"/bin/echo","arguments":["$HOME","a b","*"],"output":"p","environment":{"A":"1"}}' | zn-submit --records
	zn-queue wait 1 2
	grep -q '^PATH=' o && grep -q '^HOME=' o
	run ! grep -q BATS o
	[ "$(cat p)" = '$HOME a b *' ]
}

@test "from cron: no terminal, hardly an environment, standard input closed" {
	run -0 env -i PATH="$PATH" ZENITH_SPOOL="$ZENITH_SPOOL" ZENITH_LEASE_DIR="$ZENITH_LEASE_DIR" \
		setsid zn-submit --output "$dir/o" -- /bin/sh -c 'echo night' <&-
	zn-queue wait "$output"
	[ "$(cat o)" = night ]
}

@test "without a daemon and without leave to start one, the job waits in a file, and key:K is its number" {
	export ZENITH_AUTOSTART=no
	run -0 zn-submit --output /dev/null -- true
	[[ $output == key:* ]]
	unset ZENITH_AUTOSTART
	start
	until_true is_state COMPLETED "$output"
	zn-queue wait "$output"
	[ "$(field id "$output")" = 1 ]
	ZENITH_AUTOSTART=no run -0 zn-submit --key again --output /dev/null -- true
	[ "$output" = 2 ]
}

@test "sizes, counts and times that make no sense exit 64 with one sentence and change nothing" {
	for bad in "-m -5" "-m 5X" "-m 99999999999999999999G" "-m 1e3" "-c -1" "-c 1.5" "-g 99999999999999999999" "-t 1y" "-t -1" \
		"-p x" "-p 99999999999999999999" "--begin yesterday" "--tasks many" "--nvlink maybe" "--env =x" "--env NAME"; do
		# shellcheck disable=SC2086
		run --separate-stderr -64 zn-submit $bad -- true
		[ -z "$output" ] && [ -n "$stderr" ] || { echo "$bad: $output $stderr"; return 1; }
	done
	[ ! -e "$ZENITH_SPOOL" ]
}

@test "a newline in the name, an empty command, a name that is too long: 65, and nothing happened" {
	run -65 zn-submit -n $'a\nb' -- true
	run -65 zn-submit -- ''
	run -65 zn-submit -n "$(printf 'n%.0s' $(seq 129))" -- true
	[ ! -e "$ZENITH_SPOOL" ]
}

@test "an output that is a FIFO or a directory, and a directory that vanished, are told at once" {
	mkfifo fifo && mkdir gone
	run --separate-stderr -65 zn-submit --output fifo -- true
	[[ $stderr == *FIFO* ]]
	run -65 zn-submit --output . -- true
	run --separate-stderr -71 zn-submit --output gone/er/x -- true
	cd gone && rmdir "$dir/gone"
	run --separate-stderr -71 zn-submit -- true
	cd "$dir"
	[ ! -e "$ZENITH_SPOOL" ]
}

@test "somebody else's file is no output for us" {
	[ "$(id -u)" -eq 0 ] || skip "only root can make a file of somebody else"
	touch theirs && chown nobody theirs && chmod 666 theirs
	run --separate-stderr -77 zn-submit --output theirs -- true
	[[ $stderr == *"somebody else"* ]]
	[ ! -s theirs ]
}

@test "--dry-run says where a job would go, exits 1 when it can't start now, and submits nothing" {
	run -0 zn-submit --dry-run -g 2 -o json -- true
	[[ $output == *'"now":true'*'"gpus":[0,1]'* ]]
	run -1 zn-submit --dry-run -g 16 -o json -- true
	[[ $output == *"needs 16 gpus; the machine has 8"* ]]
	[ ! -e "$ZENITH_SPOOL" ]
	blocker -g 7 >/dev/null
	await RUNNING 1
	run -1 zn-submit --dry-run -g 2 -o json -- true
	[[ $output == *"1 of 8 is free"* ]]
	[ "$(zn-queue -o json | grep -c '')" -eq 1 ]
	touch go
}

@test "a gang gets ranks, a world and one port; a single task gets none of them" {
	zn-submit --tasks 3 -g 3 --output 'o.%r' -- sh -c 'echo $RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $CUDA_VISIBLE_DEVICES; echo $MASTER_PORT >port.$RANK'
	zn-submit --output single -- sh -c 'echo "${RANK-none} ${WORLD_SIZE-none} ${MASTER_PORT-none}"'
	zn-queue wait 1 2
	[ "$(cat o.0 o.1 o.2)" = $'0 0 3 127.0.0.1 0,1,2\n1 1 3 127.0.0.1 0,1,2\n2 2 3 127.0.0.1 0,1,2' ]
	cmp port.0 port.1 && cmp port.0 port.2
	[ "$(cat single)" = "none none none" ]
}

@test "a full disk under its answer is an error" {
	run --separate-stderr -71 bash -c 'zn-submit --hold -- true >/dev/full'
	[ -n "$stderr" ]
}

@test "--records -o json gives a record with number and key for each submission" {
	printf '{"command":"true","key":"k%s","hold":true}\n' 1 2 3 | zn-submit --records -o json >out
	[ "$(grep -c '"kind":"job"' out)" -eq 3 ]
	for i in 1 2 3; do grep -q "\"id\":$i,\"key\":\"k$i\"" out; done
	printf '{"command":"true","hold":true}\n{"command":"true","hold":true}\n' | zn-submit --records -o table >out
	[ "$(grep -c KEY out)" -eq 1 ] && [ "$(grep -c '' out)" -eq 3 ]
}

@test "a job that was given no name has that of its command, also from a record" {
	echo '{"command":"/bin/true","hold":true}' | zn-submit --records
	[ "$(field name 1)" = true ]
	echo '{"script":"true","hold":true}' | zn-submit --records
	[ "$(field name 2)" = job ]
}

@test "a percent sign in the name of the output is one for every reader" {
	run -0 zn-submit --follow --output 'a%%%j' -- echo hello
	[ "$output" = hello ] && [ "$(cat a%1)" = hello ]
	[ "$(zn-queue log 1)" = hello ]
	zn-submit --wait --tasks 2 --output 'r%r' -- sh -c 'echo rank $RANK'
	[ "$(zn-queue log 2)" = "rank 0" ]
}

@test "a submission that is too large is refused with its size, and is not tried again" {
	head -c 17000000 /dev/zero | tr '\0' x | sed 's/^/{"command":"true","arguments":["/; s/$/"]}/' >large
	run --separate-stderr -65 zn-submit --records <large
	[[ $stderr == *"record 1, line 1: it takes 170"*" bytes; a submission may take 16777216" ]]
}

@test "a file that became somebody else's before the start is left alone, by root too" {
	[ "$(id -u)" = 0 ] || skip "only root can give a file away"
	zn-submit --hold --output late -- echo hello
	echo precious >late && chown 65534 late
	zn-queue release 1
	run -1 zn-queue wait 1
	[ "$(cat late)" = precious ]
	[[ $(field reason 1) == *"belongs to somebody else"* ]]
}

@test "what can be no output or command is refused at once" {
	run --separate-stderr -65 zn-submit --output /dev/zero -- true
	[ "$stderr" = "zn-submit: output '/dev/zero' is a device, not a file" ]
	run --separate-stderr -64 zn-submit "$dir/"
	[[ $stderr == *"is a directory, neither a script nor a command"* ]]
	printf '#!/bin/sh\n#ZN --records\ntrue\n' >s
	run --separate-stderr -64 zn-submit s
	[[ $stderr == *"option '--records' makes no sense in a script"* ]]
}

@test "--wait for a job whose agent died says so, and exits with 125" {
	zn-submit --wait --output /dev/null -- sleep 300 >number 2>said &
	submit=$!
	until_true has_lines 1 number
	await RUNNING 1
	kill -KILL "$(pid_of zn-noded | head -n 1)"
	status=0; wait $submit || status=$?
	[ "$status" -eq 125 ]
	grep -q "job 1 is FAILED: lost: the agent died" said
}

@test "#SBATCH lines are understood, #ZN lines and the command line win, and what is ignored is named once" {
	cat >night.sh <<-'END'
	#!/bin/bash
	#SBATCH --job-name=night --output=%x-%j.txt
	#SBATCH --gres=gpu:2 --ntasks=2
	#SBATCH --time=0:30 --partition=gpu
	#SBATCH --mail-type=END
	#ZN --time 20
	echo "$ZENITH_JOB_NAME rank $RANK of $WORLD_SIZE on GPU $ZENITH_RANK_GPUS of $CUDA_VISIBLE_DEVICES"
	END
	run --separate-stderr -0 zn-submit --wait night.sh
	[ "$stderr" = "zn-submit: of the #SBATCH lines, ignored: --partition, --mail-type" ]
	[ "$(sort night-1.txt)" = "night rank 0 of 2 on GPU 0 of 0,1
night rank 1 of 2 on GPU 1 of 0,1" ]
	[ "$(field time_limit_s 1)" = 20.0 ]
	run --separate-stderr -0 zn-submit --name day --hold night.sh
	[ "$(field name 2)" = day ]
	sed -i 's/--partition=gpu/--nodes=4/' night.sh
	run --separate-stderr -65 zn-submit night.sh
	[[ $stderr == *"2 tasks, 8 gpus and 0 cpus can't be split evenly over 4 nodes"* ]]
}

@test "a submit loads only what it needs, and asks once" {
	command -v strace >/dev/null || skip "strace is not there"
	zn-submit --hold -- true >number # the scheduler runs
	ASAN_OPTIONS=detect_leaks=0 strace -f -o calls zn-submit --hold -- true >number
	[ "$(cat number)" -eq 2 ]
	run -1 grep -E 'lib(hwloc|udev|crypto|event)' calls
	run -1 grep -E 'sync\(|nanosleep\(|zenith\.conf|/etc/passwd|clone|fork' calls
	[ "$(grep -cE ' (connect|sendto|poll|recvfrom)\(' calls)" -eq 4 ]
}

@test "a job starts once its submitter has gone, or waits for it" {
	command -v strace >/dev/null || skip "strace is not there"
	zn-submit --wait --output /dev/null -- true >number # the agent is up
	strace -o calls -e trace=sendto,pidfd_open,writev -p "$(pid_of zn-schedd)" 2>attached &
	tracer=$!
	until_true grep -q attached attached
	zn-submit --output /dev/null -- true >number &
	pid=$!
	wait $pid
	zn-queue wait 2
	zn-submit --wait --output /dev/null -- true >number
	kill $tracer
	wait $tracer || :
	awk -v look="^pidfd_open\\($pid," '/^sendto/ && !told { told = NR } $0 ~ look { seen = NR } /^writev/ && !began { began = NR }
		END { exit !(told && told < seen && seen < began) }' calls || { cat calls; return 1; }
}

@test "--dry-run asks zn-topo when no scheduler has told what this machine is" {
	mkdir elsewhere && cp "$(command -v zn-submit)" elsewhere
	printf '#!/bin/sh\nexit 71\n' >elsewhere/zn-topo && chmod +x elsewhere/zn-topo
	run --separate-stderr ! elsewhere/zn-submit --dry-run -- true
	[[ $stderr == *"can't make out what zn-topo says"* ]]
	rm elsewhere/zn-topo
	run -0 elsewhere/zn-submit --dry-run -g 1 -o json -- true
	[[ $output == *'"now":true'* ]]
}

@test "without HOME the account says where the queue is, and no module of the C library's is loaded for it" {
	[ -z "${SANITIZED-}" ] || skip "a sanitizer's build is not linked statically"
	ldd "$(command -v zn-submit)" 2>&1 | grep -q 'statically linked' || skip "zn-submit is not linked statically here"
	run -0 env -u HOME -u ZENITH_SPOOL -u XDG_STATE_HOME strace -e trace=openat -o trace zn-submit --dry-run -o json -- true
	grep -q '"/etc/passwd"' trace
	run ! grep nsswitch trace
}
