#!/usr/bin/env bats
# Arrays: many jobs that are one as long as they wait.
load queue

quick() { zn-submit --output /dev/null "$@"; }
# rows: what the list says of each, "12.3 STATE"
rows() { zn-queue list -o table --no-heading --fields id,state "$@" | awk '{ print $1, $2 }'; }
# ended: indices of those of job 1 that ended so
ended_so() { zn-queue history -o csv --no-heading --fields index,state | sed -n "s/^\([0-9][0-9]*\),$1\$/\1/p" | sort -n | xargs; }
# The most that ran at once, of all that the history has.
most_at_once() {
	zn-queue history -o csv --no-heading --fields start_s,end_s |
		awk -F, '$1 { print $1, 1; print $2, -1 }' | sort -n -k1,1 -k2,2 | awk '{ n += $2; if (n > m) m = n } END { print m + 0 }'
}
# kill -9 of zn-schedd, and the next one
again() {
	local pid
	pid=$(pid_of zn-schedd)
	kill -9 "$pid"
	until_true ended "$pid"
	until_true start 2>>log # its other threads may hold the lock a moment longer
}
is_running() { [ "$(rows -s RUNNING | wc -l)" -eq "$1" ]; }

@test "each element is a job with its index, its own output, and GPUs of its own; all of them are one job" {
	run -0 zn-submit --wait --array 0-4,8 -g 1 -- sh -c 'echo $ZENITH_JOB_ID $ZENITH_ARRAY_INDEX; [ $CUDA_VISIBLE_DEVICES ]'
	[ "$output" = 1 ]
	for i in 0 1 2 3 4 8; do [ "$(cat zn-1.$i.out)" = "1 $i" ]; done
	[ "$(state 1) $(field elements 1) $(field elements_completed 1) $(field exit_code 1)" = "COMPLETED 6 6 0" ]
	[ "$(state 1.8) $(field index 1.8)" = "COMPLETED 8" ]
	run -1 --separate-stderr zn-queue show 1.5
	[ "$stderr" = "zn-queue: there is no job 1.5" ]
	run -0 zn-queue log 1.3
	[ "$output" = "1 3" ]
	run -1 --separate-stderr zn-queue log 1
	[ "$stderr" = "zn-queue: job 1 is an array: name one of its elements, as in 1.0" ]
	[ "$(zn-submit -w --array 7 --output 'x-%j-%a-%r' --error 'e-%a' -- sh -c 'echo out; echo err >&2')" = 2 ]
	[ "$(cat x-2-7-0 e-7)" = $'out\nerr' ]
}

@test "what waits is one line, and those that started are one each" {
	blocker -g 2 --array 0-9999 >number
	until_true is_running 4
	[ "$(rows | head -5)" = $'1.0 RUNNING\n1.1 RUNNING\n1.2 RUNNING\n1.3 RUNNING\n1.4-9999 QUEUED' ]
	[ "$(field array 1)" = "4-9999" ]
	[ "$(state 1.77)" = QUEUED ]
	run -0 zn-queue why -o table 1.77
	[ "${lines[0]}" = "job 1.77 is QUEUED: needs 2 gpus; none of 8 is free" ]
	[[ $output == *"waiting before it: 73"* ]]
	zn-queue cancel 1
	run -1 zn-queue wait --timeout 20s 1
	[ "$(state 1): $(field reason 1)" = "CANCELLED: cancelled" ]
	[ "$(rows)" = "" ]
	[ "$(ended_so CANCELLED)" = "0 1 2 3" ]
}

@test "no more run at once than may" {
	quick -g 1 --array 0-29%3 -- sleep 0.05 >number
	zn-queue wait 1
	[ "$(most_at_once)" -eq 3 ]
	[ "$(ended_so COMPLETED | wc -w)" -eq 30 ]
	zn-queue history -o msgpack >history
	run -0 zn-sim --flat -g 8 -o json history
	[ "$(grep -c '"kind":"job"' <<<"$output")" -eq 30 ]
	blocker -g 1 --array 0-9%2 >number
	until_true is_running 2
	run -0 zn-queue why -o table 2
	[ "${lines[0]}" = "job 2 is QUEUED: 2 of its array run, and no more may at once" ]
	quick -g 1 -w -- true                                            # nobody else is kept back
}

@test "one that fails makes all fail, with its exit code; what waits for the array goes by that" {
	zn-submit --hold --output /dev/null --array 0-5 -- sh -c '[ $ZENITH_ARRAY_INDEX != 3 ] || exit 7' >number # 1
	quick --after 1:ok -- true                                       # 2
	quick --after 1:fail -- true                                     # 3
	zn-queue release 1
	run -1 zn-queue wait 1 2 3
	[ "$(state 1): $(field reason 1), $(field exit_code 1)" = "FAILED: 1 of 6 elements failed, 7" ]
	[ "$(state 2) $(state 3)" = "CANCELLED COMPLETED" ]
	run -7 zn-submit --wait --array 1 --output /dev/null -- sh -c 'exit 7'
	quick -w --array 0-3 --after 3 -- true
}

@test "elements are held, released and cancelled by themselves, and some at once" {
	blocker -g 8 >number                                             # 1
	await RUNNING 1
	quick -g 8 --array 0-9 -- true                                   # 2
	zn-queue hold 2.3 2.5
	zn-queue cancel 2.7-9
	[ "$(rows)" = $'1 RUNNING\n2.3 PENDING\n2.5 PENDING\n2.0-2,4,6 QUEUED' ] || { rows; false; }
	zn-queue hold 2
	[ "$(state 2) $(state 2.6)" = "PENDING PENDING" ]
	zn-queue release 2.6 2.5
	[ "$(state 2.6) $(state 2.5) $(state 2.4)" = "QUEUED QUEUED PENDING" ]
	touch go
	zn-queue wait 2.5 2.6
	[ "$(rows)" = $'2.3 PENDING\n2.0-2,4 PENDING' ]
	zn-queue release 2
	zn-queue wait 2.0-2,4
	zn-queue release 2.3
	run -1 zn-queue wait 2
	[ "$(state 2): $(field reason 2)" = "CANCELLED: 3 of 10 elements were cancelled" ]
	[ "$(zn-queue history -o csv --no-heading --fields id,index,state | grep -c '^2,[0-9]*,COMPLETED')" -eq 7 ]
}

@test "what is in line can be taken out of it one by one, until none is left" {
	blocker -g 8 >number                                             # 1
	await RUNNING 1
	quick -g 1 --array 0-3%2 -- true                                 # 2
	quick -g 1 --array 0-3 -- true                                   # 3
	for i in 3 1 0 2; do zn-queue hold 2.$i 3.$i; done
	[ "$(rows)" = $'1 RUNNING\n2.0 PENDING\n2.1 PENDING\n2.2 PENDING\n2.3 PENDING\n3.0 PENDING\n3.1 PENDING\n3.2 PENDING\n3.3 PENDING' ]
	zn-queue release 2.0-3
	[ "$(state 2.1) $(state 2.2): $(field reason 2.2)" = "QUEUED PENDING: 2 of its array run at once, and no more" ]
	quick --hold -g 1 --array 0-3%2 -- true                          # 4
	zn-queue hold 4.1 4.2
	zn-queue release 4
	zn-queue release 4.1 4.2                                         # these two are all that may, and go before the others
	touch go
	zn-queue wait 4.3 4.0
	zn-queue wait 2 4
	zn-queue cancel 3
	run -1 zn-queue wait 3
	[ "$(most_at_once)" -ge 2 ]
}

@test "the order, the limit and the name of what waits can change; a single one can't, and an array can't be frozen" {
	blocker -g 8 >number
	quick -g 8 --array 0-3 -- true
	quick -g 8 -- true
	zn-queue modify --priority -1 --name later 2
	no() { run --separate-stderr -1 "${@:2}"; [ "$stderr" = "zn-queue: $1" ] || { echo "$stderr"; false; }; }
	no "job 2.1 is QUEUED: it can't be modified by itself: modify all that wait, or hold it first" zn-queue modify --name x 2.1
	no "job 2 is an array: name the elements that are to be suspended, as in 2.0" zn-queue suspend 2
	no "job 2 is an array: name the elements that are to be requeued, as in 2.0" zn-queue requeue 2
	no "there is no job 2.4" zn-queue cancel 2.4
	no "there is no job 3.0" zn-queue hold 3.0
	touch go
	zn-queue wait 2 3
	run --separate-stderr -64 zn-queue cancel 2.0%1
	[[ $stderr == "zn-queue: '2.0%1' names no elements: they are 12.0-9,20"* ]]
	[ "$(field name 2.0) $(field priority 2.0)" = "later -1" ]
	awk "BEGIN { exit !($(field start_s 3) < $(field start_s 2.0)) }"
}

@test "an element that waits by itself keeps to its array's begin, dependencies and limit" {
	blocker -g 8 >number                                             # 1
	quick -g 1 --array 0-3 --begin +1s --after 1 -- true             # 2
	quick -g 1 --array 0-3 --hold --after 1 -- true                  # 3
	zn-queue hold 2.0
	zn-queue release 2.0 3.1
	sleep 2
	[ "$(zn-queue events -o csv --no-heading --fields event | wc -l)" -lt 30 ]
	[ "$(state 2.0): $(field reason 2.0)" = "PENDING: waits for job 1 to end well" ]
	touch go
	zn-queue wait 2 3.1
	[ "$(rows)" = "3.0,2,3 PENDING" ]
	again
	zn-queue cancel 3
	run -1 zn-queue wait 3
}

@test "an array of which nothing waits as a whole is what its elements are" {
	quick --hold --array 0-1 -- true
	zn-queue hold 1.0 1.1
	[ "$(state 1): $(field reason 1)" = "PENDING: " ]
	[ "$(rows)" = $'1.0 PENDING\n1.1 PENDING' ]
	for verb in hold release "modify -p -1"; do
		# shellcheck disable=SC2086 # a verb and its option
		run -1 --separate-stderr zn-queue $verb 1
		[ "$stderr" = "zn-queue: nothing of job 1 waits as a whole: name those of its elements that do, as in 1.0" ]
	done
	run -0 zn-queue why -o table 1
	[ "$output" = "job 1 is PENDING: nothing of it waits as a whole: its elements have begun, have ended, or wait by themselves" ]
	zn-queue release 1.0 1.1
	zn-queue wait 1
	zn-queue events -o table | grep -q '  *1\.1  *sh\|  *1\.1  *true'
}

@test "who never began of an array that was cancelled is known as that, also after a restart; who never was is not" {
	blocker -g 1 --array 0-5%1 >number
	await RUNNING 1.0
	zn-queue hold 1.4
	zn-queue cancel 1
	run -1 zn-queue wait --timeout 20s 1 1.3
	for _ in 1 2; do
		[ "$(state 1.3) $(state 1.4) $(field array_never 1)" = "CANCELLED CANCELLED 1-3,5" ]
		run -1 --separate-stderr zn-queue show 1.6
		[ "$stderr" = "zn-queue: there is no job 1.6" ]
		run -1 --separate-stderr zn-queue wait 1.6
		[ "$stderr" = "zn-queue: there is no job 1.6" ]
		run -1 zn-queue wait 1.5
		[ "$(zn-queue show -o json 1.3 | grep -c elements)" -eq 0 ]
		again
	done
}

@test "when the first in line is held or cancelled, what was set aside for it is given out" {
	blocker -g 4 -t 1h >number                                       # 1
	await RUNNING 1
	quick -g 8 -t 1h -p 5 --array 0-1 -- true                        # 2
	quick -g 1 -t 5h -- true                                         # 3 would delay it
	sleep 0.2
	[ "$(state 3)" = QUEUED ]
	zn-queue hold 2
	zn-queue wait --timeout 20s 3
	zn-queue release 2
	quick -g 1 -t 5h -- true                                         # 4
	zn-queue cancel 2
	zn-queue wait --timeout 20s 4
}

@test "an element that has ended can be run again, and so can the array" {
	run -3 zn-submit --wait --array 2-4 --output /dev/null -- sh -c '[ $ZENITH_ARRAY_INDEX != 3 ] || exit 3'
	[ "$(zn-queue requeue 1.3)" = 2 ]
	run -1 zn-queue wait 2
	[ "$(field requeue_of 2) $(state 2.3)" = "1 FAILED" ] || { zn-queue show -o json 2; false; }
	[ "$(zn-queue requeue 1)" = 3 ]
	run -1 zn-queue wait 3
	[ "$(field elements 3) $(field elements_failed 3)" = "3 1" ]
	blocker --array 0-1 >number
	await RUNNING 4.1
	zn-queue requeue 4.1
	started_again() { [ "$(field attempt 4.1)" = 2 ]; }
	until_true started_again
	touch go
	zn-queue wait 4
}

@test "kill -9 of zn-schedd: no element runs twice, none is lost" {
	zn-submit --output /dev/null -g 1 --array 0-59%4 -- sh -c "echo \$ZENITH_ARRAY_INDEX >>'$dir/ran'; sleep 0.02" >number
	for i in 1 2 3 4 5 6; do
		until_true has_lines $((i * 8)) ran
		again
	done
	zn-queue wait --timeout 60s 1
	[ "$(sort -n ran | xargs)" = "$(seq 0 59 | xargs)" ]
	[ "$(most_at_once)" -le 4 ]
	[ "$(field elements_completed 1)" = 60 ]
}

@test "a restart knows who was held and cancelled, and that the rest was given up" {
	blocker -g 5 >number                                             # 1
	quick -g 8 --array 0-9%2 -- true                                 # 2
	quick -g 1 --grace 1h --array 0-3%2 -- sh -c "trap '' TERM; until [ -e '$dir/go' ]; do sleep 0.05; done" # 3
	until_true is_running 3
	zn-queue hold 2.4
	zn-queue cancel 2.5
	zn-queue cancel 3                                                # what runs goes on
	before=$(rows; field array 2; state 3)
	again
	until_true is_running 3
	[ "$(rows; field array 2; state 3)" = "$before" ]
	[ "$(field array 2)" = "0-3,6-9%2" ]
	touch go
	zn-queue wait --timeout 20s 2.6-9 1
	zn-queue release 2.4
	run -1 zn-queue wait 2 3
	[ "$(state 2.4) $(state 3): $(field reason 3)" = "COMPLETED CANCELLED: cancelled" ]
	run -0 zn-schedd --check-spool
}

@test "each element counts for the quota of those that wait" {
	printf '[quota user:*]\nqueued = 10\nrunning = 2\n' >conf
	export ZENITH_CONFIG=$dir/conf
	run --separate-stderr -65 quick --array 0-10 -- true
	[ "$stderr" = "zn-submit: it asks 11 waiting jobs, and user $(id -un) may have 10 (quota)" ]
	quick --hold --array 0-7 -- sleep 0.05 >number
	run --separate-stderr -75 quick --hold --array 0-2 -- true
	[ "$stderr" = "zn-submit: user $(id -un) has 8 jobs that wait, and may have 10 (quota)" ]
	zn-queue release 1
	zn-queue wait 1
	[ "$(most_at_once)" -le 2 ]
}

@test "a command at the end is run once, when all have ended; a key gives the same array" {
	zn-submit --key k --output /dev/null --array 0-9 --on-end "echo \$ZENITH_JOB_ID \$ZENITH_JOB_STATE >>$dir/told" -- true >number
	[ "$(zn-submit --key k --output /dev/null --array 0-9 --on-end "echo \$ZENITH_JOB_ID \$ZENITH_JOB_STATE >>$dir/told" -- true)" = 1 ]
	run --separate-stderr -65 zn-submit --key k --output /dev/null --array 0-8 -- true
	[[ $stderr == *"asks something else" ]]
	zn-queue wait 1
	until_true exists told
	zn-queue wait 2
	[ "$(cat told)" = "1 COMPLETED" ]
	zn-queue wait key:k
}

@test "scripts: #SBATCH --array, with a word on where the index is" {
	printf '#!/bin/sh\n#SBATCH --array=1,3 -o out-%%A-%%a\necho $SLURM_ARRAY_TASK_ID$ZENITH_ARRAY_INDEX\n' >job
	run -0 --separate-stderr zn-submit --wait job
	[ "$stderr" = "zn-submit: the script reads SLURM_ARRAY_TASK_ID; here the index is in ZENITH_ARRAY_INDEX" ]
	[ "$(cat out-1-1 out-1-3 | xargs)" = "1 3" ]
	printf '{"command":"true","directory":"/tmp","output":"/dev/null","policy":{"array":"0-3%%2"}}\n' | zn-submit --records
	zn-queue wait 2
	[ "$(field elements_completed 2)" = 4 ]
}

@test "wrong lists are refused, and nothing takes a number" {
	no() { run --separate-stderr "-$1" quick --array "$2" -- true; [ "$stderr" = "zn-submit: array '${2:0:60}': $3" ] || { echo "$stderr"; false; }; }
	no 65 9-0 "a range runs backwards"
	no 65 1,1 "an index is named twice"
	no 65 0-100000 "it has more than 100000 elements"
	no 65 a "indices are numbers from 0 to 16777214, as in 0-9,20,30-50:10"
	no 65 0-9% "behind % stands how many may run at once, from 1 on"
	run --separate-stderr -64 quick --follow --array 0-9 -- true
	[ "$stderr" = "zn-submit: --follow shows the output of one job, and an array is many" ]
	run --separate-stderr -64 zn-queue cancel 1.2-
	[ "$(quick -- true)" = 1 ]
}

@test "a hundred thousand elements: one record, and the list is one line" {
	blocker -g 8 >number
	await RUNNING 1
	quick -g 1 --array 0-199999:2 -- true
	[ "$(rows)" = $'1 RUNNING\n2.0,2,4,6,8,10,12,14,16,18,20,2... QUEUED' ]
	[ "$(du -sk --apparent-size "$ZENITH_SPOOL/journal" | cut -f 1)" -lt 40000 ]
	zn-queue cancel 2
	[ "$(state 2)" = CANCELLED ]
}

@test "a snapshot of the journal keeps what waits, what ended and what an element is to run" {
	printf '#!/bin/sh\n[ "$ZENITH_ARRAY_INDEX" != 2 ] || exit 5\necho ran >>%s/ran\n' "$dir" >job
	chmod +x job
	head -c 3000000 /dev/zero | tr '\0' '#' >>job
	quick --array 0-3 ./job >number                                  # 1
	quick --hold --array 0-9 ./job >number                           # 2
	zn-queue cancel 2.1
	quick -g 1 --array 0-2 -- sh -c "case \$ZENITH_ARRAY_INDEX in
		1) exit 3 ;;
		0) until [ -e '$dir/soon' ]; do sleep 0.02; done; exit 5 ;;
		2) until [ -e '$dir/go' ]; do sleep 0.02; done ;; esac"  # 3
	run -1 zn-queue wait 3.1
	touch soon
	run -1 zn-queue wait 3.0
	for _ in {1..12}; do quick ./job >>numbers; done
	xargs zn-queue wait <numbers
	until_true compgen -G "$ZENITH_SPOOL/journal/*.zs" >snapshot
	was=$(rows; for j in 1 1.0 1.2 1.3 2 2.1; do state $j; done)
	again
	[ "$(rows; for j in 1 1.0 1.2 1.3 2 2.1; do state $j; done)" = "$was" ]
	[ "$(field array 2)" = "0,2-9" ]
	again
	zn-queue release 2
	run -1 zn-queue wait --timeout 60s 2
	[ "$(state 2): $(field reason 2)" = "FAILED: 1 of 10 elements failed" ]
	[ "$(grep -c . ran)" -eq 23 ]                                    # 3, 12 and 8
	touch go
	run -1 zn-queue wait 3
	[ "$(field exit_code 3)" = 3 ]                                   # of the first that failed
	run -0 zn-schedd --check-spool
	[[ $output == *" 0 records that contradict others"* ]]
}
