#!/usr/bin/env bats
# The five promises of zenith(7), first proofs.  ROUNDS (default small) makes the campaigns longer.
load queue.bash

ROUNDS=${ROUNDS:-60}

# Records of jobs that append their number to the file "ran" and exit with their number modulo 5.
counting_jobs() { # FIRST LAST
	local i
	for ((i = $1; i <= $2; i++)); do
		printf '{"key":"c%d","command":"/bin/sh","arguments":["-c","echo $ZENITH_JOB_ID >>%s/ran; exit %d"],"output":"/dev/null","environment":{"PATH":"/bin:/usr/bin"},"resources":{"gpus":1}}\n' \
			"$i" "$dir" $((i % 5))
	done
}

# A random victim among the processes of this name; a shepherd is no agent.
kill_one() {
	local pid
	pid=$(pid_of "$1" | head -n 1)
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || :
}

pause() { read -rt "0.0$((RANDOM % 90 + 10))" <> <(:) || :; }

# Every job of the file "ids" has ended; of each at most one line in "ran", exactly one unless it was reported lost;
# the exit code is the one it ended with.
account() {
	timeout 120 xargs zn-queue wait <ids || [ $? -eq 123 ] # 1, as xargs says it
	zn-queue history -o json >ended
	[ "$(sort -n ids | uniq -d | grep -c '')" -eq 0 ] || { echo "a number was given twice"; return 1; }
	[ "$(sort ran | uniq -d | grep -c '')" -eq 0 ] || { echo "ran twice: $(sort ran | uniq -d | xargs)"; return 1; }
	python3 - <<'PY'
import json, sys
jobs = {}
for line in open("ended"):
    j = json.loads(line)
    assert j["id"] not in jobs, "job %d ended twice" % j["id"]
    jobs[j["id"]] = j
ran = set(int(l) for l in open("ran"))
lost = wrong = 0
for line in open("ids"):
    i = int(line)
    assert i in jobs, "job %d is not in the history" % i
    j = jobs[i]
    if j.get("reason", "").startswith("lost"):
        lost += 1
        continue
    assert i in ran, "job %d ended but never ran: %s" % (i, j)
    want = int(j["key"][1:]) % 5
    assert j.get("exit_code") == want, "job %d: exit code %s, not %d" % (i, j.get("exit_code"), want)
print("%d jobs, %d reported lost" % (len(jobs), lost))
PY
}

@test "zn-schedd killed again and again under load: every acknowledged job ran once, no exit code is lost" {
	counting_jobs 1 $((ROUNDS * 8)) | zn-submit --records >ids &
	submit=$!
	for ((i = 0; i < ROUNDS; i++)); do
		pause
		kill_one zn-schedd
		zn-queue show 1 >/dev/null 2>&1 || :
	done
	wait $submit
	[ "$(grep -c '' ids)" -eq $((ROUNDS * 8)) ]
	account
	run ! grep -q lost ended
}

@test "agent, scheduler and submitters killed at random: each job ran once, or is reported lost and did not run twice" {
	last=0
	: >ids
	for ((i = 0; i < ROUNDS; i++)); do
		counting_jobs $((last + 1)) $((last + 10)) >batch.json
		zn-submit --records <batch.json >>ids 2>/dev/null &
		submit=$!
		pause
		case $((RANDOM % 3)) in
		0) kill_one zn-schedd ;;
		1) kill_one zn-noded ;;
		*) kill -KILL $submit 2>/dev/null || : ;;
		esac
		wait $submit 2>/dev/null || :
		last=$((last + 10))
		# the retry with the same keys gives the same numbers, and those that were missing
		zn-submit --records <batch.json >again
		[ "$(grep -c '' again)" -eq 10 ]
		cat again >>all
	done
	sort -n ids all | uniq >both
	sort -n all | uniq >wanted
	cmp both wanted # a number that was printed once is the number of that key for ever
	mv wanted ids
	touch ran
	account
}

@test "a restart takes running jobs back: they do not notice" {
	zn-submit --output /dev/null -- sh -c "until [ -e '$dir/go' ]; do sleep 0.05; done; exit 9"
	await RUNNING 1
	job=$(field start_s 1)
	kill_one zn-schedd
	until_true none_listens
	[ "$(state 1)" = RUNNING ] && [ "$(field start_s 1)" = "$job" ]
	touch go
	run -1 zn-queue wait 1
	[ "$(field exit_code 1)" = 9 ] && [ "$(field attempt 1)" = 1 ]
}
none_listens() { [ -z "$(pid_of zn-schedd)" ]; }

@test "an exit while nobody schedules is not lost" {
	zn-submit --output /dev/null -- sh -c "until [ -e '$dir/go' ]; do sleep 0.02; done; echo x >'$dir/finished'; exit 7"
	await RUNNING 1
	kill_one zn-schedd
	touch go
	until_true exists finished
	run -1 zn-queue wait 1
	[ "$(field exit_code 1)" = 7 ]
}

@test "when the agent dies its job ends, is reported lost, and only then is its GPU given again" {
	zn-submit -g 8 --output pid -- sh -c 'echo $$; exec sleep 300' >/dev/null
	until_true has_lines 1 pid
	zn-submit -g 8 --output /dev/null -- sh -c "[ ! -e /proc/$(cat pid) ]" >/dev/null
	kill_one zn-noded
	timeout 60 zn-queue wait 1 2 || :
	[ "$(state 1)" = FAILED ] && [[ $(field reason 1) == lost* ]]
	[ "$(state 2)" = COMPLETED ]
}

@test "a job that asked for it runs again after its agent died" {
	zn-submit --requeue 1 --output /dev/null -- sh -c "echo x >>'$dir/runs'; until [ -e '$dir/go' ]; do sleep 0.05; done"
	until_true has_lines 1 runs
	kill_one zn-noded
	until_true has_lines 2 runs
	touch go
	timeout 60 zn-queue wait 1
	[ "$(field attempt 1)" = 2 ]
}

# Zeros lie behind it.
records_end() { perl -0777 -pe 's/\0+\z//' "$1" | wc -c; }
journal_file() { ls "$ZENITH_SPOOL"/journal/*.zj | tail -n 1; }

@test "a torn tail costs what was torn, and is reported with its offset" {
	for i in 1 2 3; do zn-submit --hold --key "k$i" -- true; done
	kill_one zn-schedd
	until_true none_listens
	f=$(journal_file)
	size=$(records_end "$f")
	head -c 60 "$f" >torn # the beginning of a frame whose end never came
	dd if=torn of="$f" bs=1 seek="$size" conv=notrunc status=none
	run -0 zn-schedd --check-spool # beside a living writer half a frame is no damage
	[[ $output == *"3 jobs, 0 damaged"* ]]
	[ "$(zn-submit --hold --key k4 -- true)" = 4 ]
	[ "$(zn-queue -o json | grep -c '')" -eq 4 ]
	grep -q "${f##*/}' is damaged: 60 bytes at offset $size are lost" "$ZENITH_SPOOL/schedd.log"
}

@test "a flipped byte costs one record; the jobs before and behind it are there" {
	for i in 1 2 3 4 5; do zn-submit --hold -n "marker$i" -- true; done
	kill_one zn-schedd
	until_true none_listens
	f=$(journal_file)
	at=$(grep -abo marker3 "$f" | head -n 1 | cut -d: -f1)
	printf X | dd of="$f" bs=1 seek="$at" conv=notrunc status=none
	run -1 zn-schedd --check-spool
	[[ $output == *"1 damaged ranges"* ]]
	[ "$(zn-submit --hold -n marker6 -- true)" -ge 6 ]
	[ "$(zn-queue -o json --fields name | grep -c marker)" -eq 5 ]
	run ! grep -q marker3 <(zn-queue -o json --fields name)
	offset=$(sed -n 's/.*bytes at offset \([0-9]*\) are lost.*/\1/p' "$ZENITH_SPOOL/schedd.log" | head -n 1)
	[ "$offset" -le "$at" ]
}

@test "what is acknowledged was synced before: the system calls show it" {
	command -v strace >/dev/null || skip "strace is not there"
	zn-submit --hold -- true
	strace -f -y -e trace=write,writev,pwrite64,fdatasync,fsync,sendmsg,sendto -o trace -p "$(pid_of zn-schedd)" 2>attached &
	tracer=$!
	until_true grep -q attached attached
	zn-submit --hold -n traced -- true
	kill $tracer
	wait $tracer || :
	# the record goes into the journal, the journal is synced, and only then a socket hears of it
	awk '/journal\/.*\.zj/ && /write/ { wrote = NR }
	     /fdatasync\(.*journal/ && wrote { synced = NR }
	     /(write|writev|sendmsg|sendto)\(.*socket:/ && wrote && !told { told = NR }
	     END { exit !(wrote && synced && told && wrote < synced && synced < told) }' trace || { cat trace; return 1; }
}

@test "the cost is flat: a submit takes the same system calls with 10 jobs waiting and with 20,000" {
	command -v strace >/dev/null || skip "strace is not there"
	calls() { # of zn-schedd for 50 submits, without those of its commit thread, whose batches vary
		strace -c -o trace -p "$(pid_of zn-schedd)" 2>attached &
		local tracer=$! i
		until_true grep -q attached attached
		for i in $(seq 50); do zn-submit --hold --output /dev/null -- true >/dev/null; done
		kill -INT $tracer
		wait $tracer || :
		awk '$NF == "total" { print $4 }' trace
	}
	zn-submit --hold -- true
	few=$(calls)
	for ((i = 0; i < 20000; i++)); do echo '{"command":"true","hold":true,"environment":{"A":"b"}}'; done | zn-submit --records >/dev/null
	many=$(calls)
	echo "$few with few, $many with many"
	[ "$few" -gt 100 ] && [ $((many * 10)) -le $((few * 12)) ]
}
