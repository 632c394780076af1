#!/usr/bin/env bats
# Jobs that are to have ended by a moment, or not to run at all.
load queue

quick() { zn-submit --output /dev/null "$@"; }
reason() { zn-queue show -o json "$1" | sed -n 's/.*"reason":"\([^"]*\)".*/\1/p'; }
gave_up() { [[ "$(state "$1") $(reason "$1")" == "CANCELLED it could not end by its deadline, "*", any more" ]]; }

@test "who could not end by his deadline any more is given up, whatever he waits for; who waits for him has his answer" {
	blocker -g 8 >number                                                # 1
	quick -g 8 --deadline +4s -- touch ran                           # 2 waits for the GPU
	quick --hold --deadline +4s -- touch ran                         # 3
	quick --after 1 --deadline +1h -t 59m56s -- touch ran            # 4 for 1, with four seconds to spare
	quick --begin +30m --deadline +40m -t 5m -- touch ran            # 5 has time
	quick --after 2:fail -- true                                     # 6
	for i in 2 3 4 5; do [ "$(state $i)" = PENDING ] || [ "$(state $i)" = QUEUED ]; done
	run -1 zn-queue wait 2 3 4
	for i in 2 3 4; do gave_up $i || { reason $i; false; }; done
	[ "$(state 5)" = PENDING ]
	awk "BEGIN { exit !($(field deadline_s 5) - $(field begin_s 5) > 599 && $(field deadline_s 5) - $(field begin_s 5) < 601) }"
	zn-queue show -o table 5 | grep -q '^deadline  '
	touch go
	zn-queue wait 6
	[ "$(state 6)" = COMPLETED ]
	[ ! -e ran ]
}

@test "without a time limit a job is over its limit at the deadline" {
	quick --deadline +2s -- sleep 60
	run -1 zn-queue wait 1
	[ "$(state 1)" = FAILED ]
	[[ "$(reason 1)" == *"time limit"* ]] || { reason 1; false; }
	awk "BEGIN { exit !($(field end_s 1) - $(field submit_s 1) < 20) }"
}

@test "one that can't be kept is refused, and nothing is queued" {
	run --separate-stderr -65 quick --deadline +1m -t 2m -- true
	[[ "$stderr" == *"with its time limit it can't end by its deadline" ]] || { echo "$stderr"; false; }
	run -65 quick --deadline 2020-01-01 -- true
	run -64 quick --deadline yesterday -- true
	echo '{"command":"true","output":"/dev/null","policy":{"deadline_s":1}}' >records
	run -65 zn-submit --records <records
	echo "{\"command\":\"true\",\"output\":\"/dev/null\",\"policy\":{\"deadline_s\":$(($(date +%s) + 1000))}}" >records
	[ "$(zn-submit --records <records)" = 1 ]
	zn-queue wait 1
	[ "$(state 1)" = COMPLETED ]
}

@test "a longer limit makes it too late sooner; a deadline survives zn-schedd" {
	blocker -g 8 >number
	quick -g 8 --deadline +1h -t 1m -- true                          # 2
	quick -g 8 --deadline +3s -- true                                # 3
	zn-queue modify -t 2h 2
	run -1 zn-queue wait 2
	gave_up 2
	zn-schedd --stop
	sleep 3
	run -1 zn-queue wait 3
	gave_up 3
	[ "$(state 1)" = RUNNING ]
}

@test "batch scripts say it as they do elsewhere, and a dry run sees that it will be too late" {
	printf '#!/bin/sh\n#SBATCH --deadline=now+2hours\n#SBATCH --output=/dev/null\ntrue\n' >job.sh
	zn-submit job.sh
	awk "BEGIN { d = $(field deadline_s 1) - $(field submit_s 1); exit !(d > 7190 && d <= 7200) }"
	zn-queue wait 1
	zn-submit -g 8 -t 1h --output /dev/null -- sleep 60
	await RUNNING 2
	zn-submit -g 8 -t 10m --deadline +30m --output /dev/null -- true # 3
	[[ "$(zn-queue why -o table 3)" == *"; it is given up at "*", when it could not end by its deadline any more"* ]]
	run zn-submit --dry-run -o table -g 8 -t 10m --deadline +30m --output /dev/null -- true
	[[ "$output" == *"it would start too late for its deadline"* ]] || { echo "$output"; false; }
}
