#!/usr/bin/env bats
# Which of the waiting jobs starts next: the order, what is set aside for the first in line, and what goes in between.
load queue

@test "what is short enough goes in between, what would delay the first in line does not" {
	blocker -g 7 --time 1h >number                                  # job 1 has seven of eight GPUs
	await RUNNING 1
	zn-submit -g 8 --time 1h --output /dev/null -- true              # 2 is first in line
	zn-submit -g 1 --time 10h --output /dev/null -- true             # 3 would keep it waiting
	zn-submit -g 1 --time 10m --output /dev/null -- true             # 4 would not
	zn-queue wait 4
	[ "$(state 2) $(state 3)" = "QUEUED QUEUED" ]
	run -0 zn-queue why -o table 3
	[ "${lines[0]}" = "job 3 is QUEUED: it fits, but would delay job 2, which comes before it" ]
	[[ $output == *"waiting before it: 1"* && $output == *"with --time "*" it would start now"* ]]
	zn-queue modify --time 5m 3                                      # so he does
	zn-queue wait 3
	touch go
	zn-queue wait 2
}

@test "so many of the first in line as the configuration says have something set aside, and who delays one of them is told" {
	printf '[queue]\nreservations = 2\n' >conf
	export ZENITH_CONFIG=$dir/conf
	blocker -g 6 --time 1h >number
	await RUNNING 1
	zn-submit -p 2 -g 6 --time 1h --output /dev/null -- true          # 2 leaves two of eight GPUs
	zn-submit -p 1 -g 8 --time 1h --output /dev/null -- true          # 3 needs them when that is over
	zn-submit -g 2 --time 10h --output /dev/null -- true              # 4
	[[ $(zn-queue nodes -o json) == *'"reservations":2,'* ]]
	run -0 zn-queue why -o table 4
	[ "${lines[0]}" = "job 4 is QUEUED: it fits, but would delay job 3, which comes before it" ]
	[[ $output == *"with --time "*" it would start now"* ]]
	run -1 zn-submit --dry-run -o json -g 1 --time 10h -- true
	[[ $output == *'it would delay job 3, which comes before it'* ]]
	[[ $(zn-submit --dry-run -o json -g 1 --time 90m -- true) == *'"now":true,'* ]]
	expected=$(zn-queue why -o json 3 | sed -n 's/.*"expected_s":\([0-9.]*\).*/\1/p')
	awk "BEGIN { d = $expected - $(field start_s 1) - 7200; exit !(d < 1 && d > -1) }"
	zn-queue modify --time 90m 4
	zn-queue wait 4
	[ "$(state 2) $(state 3)" = "QUEUED QUEUED" ]
	touch go
	zn-queue wait 2 3
}

@test "when a job starts at the latest is told from the limits" {
	blocker -g 8 --time 1h >number
	await RUNNING 1
	zn-submit -g 8 --time 30m --output /dev/null -- true
	zn-submit -g 8 --time 2h --output /dev/null -- true
	start=$(field start_s 1)
	for of in "2 3600" "3 5400"; do
		expected=$(zn-queue why -o json "${of% *}" | sed -n 's/.*"expected_s":\([0-9.]*\).*/\1/p')
		awk "BEGIN { exit !($expected - $start - ${of#* } < 1 && $expected - $start - ${of#* } > -1) }"
	done
	zn-submit -g 8 --output /dev/null -- true                        # without a limit
	zn-queue modify --time 0 1
	run -0 zn-queue why -o json 2
	[[ $output != *expected_s* ]]
	touch go
}

@test "a dry run says when a job would start, and who is in its way" {
	dry() { zn-submit --dry-run -o json "$@" -- true; }
	[[ $(dry -g 8) == *'"now":true,'*'"ahead":0,"expected_s":'* ]]
	blocker -g 7 --time 1h >number
	await RUNNING 1
	zn-submit -g 8 --time 30m --output /dev/null -- true
	start=$(field start_s 1)
	run -1 dry -g 4 --time 10h                                       # behind both
	[[ $output == *'"now":false,'*'needs 4 gpus; 1 of 8 is free'* ]]
	expected=$(sed -n 's/.*"expected_s":\([0-9.]*\).*/\1/p' <<<"$output")
	awk "BEGIN { d = $expected - $start - 5400; exit !(d < 2 && d > -2) }"
	[[ $(dry -g 1 --time 10m) == *'"now":true,'*'"gpus":'* ]]         # in between
	run -1 dry -g 1 --time 10h
	[[ $output == *'"now":false,'*'it would delay job 2, which comes before it'* ]]
	run -1 dry --hold
	[[ $output == *'it would be held'* && $output != *expected_s* ]]
	run -1 dry --begin +1h
	[[ $output == *'it would wait for its begin time'* && $output == *expected_s* ]]
	run -1 dry --after 1
	[[ $output == *'it would wait for other jobs to end'* ]]
	[ "$(zn-queue list -o json | wc -l)" -eq 2 ]
	touch go
}

@test "where nobody has a limit the others pass who fit" {
	blocker -g 7 >number
	await RUNNING 1
	zn-submit -g 8 --output /dev/null -- true
	zn-submit -g 1 --output /dev/null -- true
	zn-queue wait 3
	[ "$(state 2)" = QUEUED ]
	touch go
	zn-queue wait 2
}

@test "a higher priority comes first; among equal ones who waits longest for what he asks" {
	blocker -g 8 >number
	await RUNNING 1
	zn-submit -g 8 --time 10h --output /dev/null -- true
	zn-submit -g 8 --time 1m --output /dev/null -- true
	zn-submit -g 8 --time 10h -p 1 --output /dev/null -- true
	for of in "2 2" "3 1" "4 0"; do
		[ "$(zn-queue why -o json "${of% *}" | sed -n 's/.*"ahead":\([0-9]*\).*/\1/p')" = "${of#* }" ]
	done
	touch go
	zn-queue wait 2 3 4
	[ "$(zn-queue history -o csv --fields start_s,id --no-heading | sort -n | cut -d, -f2 | paste -sd' ')" = "1 4 3 2" ]
}

@test "one that can never start here keeps nobody back" {
	blocker -g 7 --time 1h >number
	await RUNNING 1
	zn-submit -g 9 -p 5 --time 1h --output /dev/null -- true
	zn-submit -g 8 --time 1h --output /dev/null -- true              # the first in line all the same
	zn-submit -g 1 --time 10h --output /dev/null -- true
	zn-submit -g 1 --time 10m --output /dev/null -- true
	zn-queue wait 5
	[[ $(zn-queue why -o table 4) == *"would delay job 3"* ]]
	[[ $(zn-queue why -o table 2) == *"can never start here"* ]]
	touch go
	zn-queue wait 3 4
}

@test "a job that is suspended keeps nobody back by a limit that stands still" {
	blocker -g 7 --time 2s --grace 1s >number
	await RUNNING 1
	zn-queue suspend 1
	await SUSPENDED 1
	zn-submit -g 8 --time 1h --output /dev/null -- true
	sleep 2.5                                                        # its limit is over, were it not suspended
	zn-submit -g 1 --output /dev/null -- true
	zn-queue wait 3
	[[ $(zn-queue why -o json 2) != *expected_s* ]]
	zn-queue resume 1
	touch go
	zn-queue wait 2
}

@test "CPUs that the first in line could do without are not set aside" {
	cpus=$(zn-topo -k machine -o csv --fields cpus --no-heading)
	[ "$cpus" -ge 2 ] || skip "one CPU alone"
	blocker -g 7 --time 1h --cpus 1 >number
	await RUNNING 1
	zn-submit -g 8 --time 1h --output /dev/null -- true
	zn-submit --cpus 1 --output /dev/null -- true
	zn-queue wait 3
	[ "$(state 2)" = QUEUED ]
	touch go
}

@test "show says what the order has of a job that waits for room, and its place" {
	blocker -g 8 --time 1h >number                                   # 1
	await RUNNING 1
	wait_for() { zn-submit --output /dev/null "$@" -- true; }
	wait_for -g 8 --time 10h
	wait_for -g 8 --time 1m
	wait_for -g 2 --time 1h
	wait_for -g 8 --time 10h -p 1
	wait_for -g 8 --array 0-3%2
	wait_for --hold
	zn-queue show -o csv --no-heading --fields ahead,priority,urgency,waited_s,estimate_s,size,id,fair_share 2 3 4 5 6 | sort -n >by_place
	sort -t, -k2,2nr -k3,3gr by_place | diff by_place -
	[ "$(cut -d, -f1,7 by_place | paste -sd' ')" = "0,5 1,3 2,4 3,2 4,6" ]
	awk -F, '{ u = ($4 + 60) / ($5 * sqrt($6)) * ($8 == "" ? 1 : $8); if (u - $3 > 1e-9 || $3 - u > 1e-9) exit 1 }' by_place
	[ "$(zn-queue show -o csv --no-heading --fields ahead 6.1)" -eq 5 ] # after the first of its array
	zn-queue show -o table 4 >text
	grep -qx 'waiting before 2' text
	grep -qx 'urgency        0.0[0-9]*, for a wait of .*, an estimate of 1h00m and a size of 2' text
	run -0 zn-queue show -o json 1 7
	[[ $output != *urgency* && $output != *ahead* ]]
	touch go
}

@test "the weights of the order are minded, told in why, and by forecasts" {
	printf '[order]\nestimate = 0\nsize = 0\n' >conf
	export ZENITH_CONFIG=$dir/conf
	blocker -g 8 -t 1h >number                                       # 1
	await RUNNING 1
	zn-submit --output /dev/null -g 8 -t 10h -- true                 # 2 came first
	sleep 0.05
	zn-submit --output /dev/null -g 8 -t 1m -- true                  # 3 is the shortest
	run -0 zn-queue why -o table 3
	[[ $output == *"waiting before it: 1"* ]]
	[[ $output == *"  urgency: 60"*", for a wait of "*", an estimate of 1m00s and a size of 8"* ]]
	zn-queue why -o json 3 | grep -q '"waited_s":[0-9.]*,"estimate_s":60.0,"size":8.0,.*"urgency":6'
	touch go
	zn-queue wait 2 3
	awk "BEGIN { exit !($(field start_s 2) <= $(field start_s 3)) }"
}
