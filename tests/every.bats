#!/usr/bin/env bats
# Jobs that come again.
load queue

quick() { zn-submit --output /dev/null "$@"; }
# Of the series: how many have ended; the one that waits.
ended_ones() { zn-queue history -o csv --no-heading --fields state | grep -c COMPLETED; }
have_ended() { [ "$(ended_ones)" -ge "$1" ]; }
next_one() { zn-queue list -s PENDING -o csv --no-heading --fields id; }
has_next() { [ "$(next_one)" = "$1" ]; }

@test "at each time there is a job, and the next one waits for its own" {
	[ "$(quick --every '*:*:*' --name tick -- true)" = 1 ]
	[ "$(field every 1)" = "*:*:*" ]
	until_true have_ended 3
	last=$(next_one)
	[ "$(wc -w <<<"$last")" -eq 1 ]
	zn-queue hold "$last"                                            # it may begin just now
	[ "$(field name "$last") $(field requeue_of "$last")" = "tick $((last - 1))" ]
	[ "$(field key "$last")" = "after-$((last - 1))" ]
	zn-queue history -o csv --no-heading --fields id,begin_s,start_s | sort -n >got
	awk -F, '{ if ($2 != int($2) || $3 < $2 || $2 <= before) bad = 1; before = $2 } END { exit bad }' got
	zn-queue cancel "$last"
	run -1 zn-queue wait "$last"
	sleep 1.2
	[ "$(zn-queue list -o json)" = "" ]
}

@test "none begins before the one before has ended, however, and what passed meanwhile is made up for once" {
	quick --every '*:*:*' -- sh -c "echo >>'$dir/began'; sleep 2.5; exit 3"
	until_true has_lines 2 began
	zn-queue cancel "$(next_one)"
	run -1 zn-queue wait 1 2
	[ "$(wc -l <began)" -eq 2 ]
	[ "$(state 1) $(state 2)" = "FAILED FAILED" ]
	awk "BEGIN { exit !($(field start_s 2) >= $(field end_s 1) && $(field start_s 2) < $(field end_s 1) + 1) }"
	[ "$(field begin_s 3)" != "$(field begin_s 2)" ]
}

@test "kill -9 and times without a zn-schedd: no time is used twice, and one job makes up for those that were missed" {
	quick --every '*:*:*' -- true
	for n in 1 2 3; do
		until_true have_ended $n
		pid=$(pid_of zn-schedd)
		kill -9 "$pid"
		until_true ended "$pid"
		sleep 2
		until_true start 2>>log
	done
	until_true have_ended 5
	zn-queue cancel "$(next_one)" || zn-queue cancel "$(next_one)"
	zn-queue history -o csv --no-heading --fields begin_s | sort >begins
	[ "$(uniq -d begins)" = "" ]
	[ "$(zn-queue history -o csv --no-heading --fields id | sort -n | uniq -d)" = "" ]
}

@test "the dry run and the list say when it comes; a series ends with its last time" {
	run -1 zn-submit --dry-run -o json --every '2199-12-31 23:00 UTC' -- true
	[[ $output == *'"now":false,'*'"expected_s":7258114800.0'* ]]
	year=$(($(date +%Y) + 1))
	quick --every "$year-03-01 04:00 UTC" -- true
	[ "$(field begin_s 1)" = "$(date -u -d "$year-03-01 04:00" +%s).0" ]
	zn-queue list -o table | grep -q "waits for its begin time"
	zn-queue show -o table 1 | grep -qx "every          $year-03-01 04:00 UTC"
	soon=$(date -u -d '+2 seconds' '+%Y-%m-%d %H:%M:%S')
	quick --every "$soon UTC" -- true
	zn-queue wait --timeout 20s 2
	[ "$(zn-queue list -o csv --no-heading --fields id)" = 1 ]       # there is no next one
	printf '{"command":"true","directory":"/tmp","output":"/dev/null","policy":{"every":"daily 02:00"}}\n' | zn-submit --records
	[ "$(state 3) $(field every 3)" = "PENDING daily 02:00" ]
	[ "$(date -d "@$(field begin_s 3)" +%H:%M:%S)" = 02:00:00 ]
}

@test "run again it comes once; arrays and all else come again as they are" {
	quick --every '*:*:*' --array 0-2 -- true
	until_true have_ended 8                                          # two arrays of three elements, and themselves
	zn-queue cancel "$(next_one)" || zn-queue cancel "$(next_one)"
	[ "$(field elements_completed 2)" = 3 ]
	again=$(zn-queue requeue 1)
	zn-queue wait "$again"
	[ "$(field every "$again")" = "" ]
}

@test "what is no calendar, is past or makes no sense is refused" {
	no() { run --separate-stderr -65 quick "${@:2}" -- true; [ "$stderr" = "zn-submit: $1" ] || { echo "$stderr"; false; }; }
	no "every '2020-01-01': there is no such time any more" --every 2020-01-01
	no "every '*-02-30': there is no such time any more" --every '*-02-30'
	no "a job that comes again can have no terminal and no deadline, and is none that runs already" --every daily --deadline +2d
	run --separate-stderr -65 quick --every 'now and then' -- true
	[[ $stderr == "zn-submit: every 'now and then': "* ]]
	run --separate-stderr -65 quick --every 'daily Europe/Berlin' -- true
	[[ $stderr == *"the only time zone to be named is UTC" ]]
	[ "$(quick -- true)" = 1 ]
}

@test "a series that was ended stays so when its last job is forgotten before the one that still runs" {
	export ZENITH_CONFIG=$dir/conf
	printf '[queue]\nhistory = 1s\n' >conf
	quick --every '*:*:*' -- sh -c "until [ -e '$dir/go' ]; do sleep 0.05; done"
	await RUNNING 1
	zn-queue cancel key:after-1
	sleep 1.2
	{ echo '#!/bin/sh'; head -c 6000000 /dev/zero | tr '\0' '#'; } >big
	for _ in 1 2 3 4 5 6; do quick big >>big.ids; done
	xargs zn-queue wait <big.ids
	until_true compgen -G "$ZENITH_SPOOL/journal/*.zs" >snapshot
	zn-schedd --stop
	quick -w -- true
	[ "$(zn-queue list -o csv --no-heading --fields id)" = 1 ]
	touch go
	zn-queue wait 1
}
