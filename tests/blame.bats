#!/usr/bin/env bats
# What a job's wait was made of.
load queue

quick() { zn-submit --output /dev/null "$@"; }

@test "a wait is decided again from what is on record, and without each thing that kept it" {
	blocker -g 8 -t 1h >number                                       # 1
	await RUNNING 1
	quick -g 8 -t 10s -- sleep 1                                     # 2
	quick -g 2 -t 1m -- true                                         # 3
	run -0 zn-queue blame -o table 3
	[[ ${lines[0]} == "job 3 has waited "*"; by the time limits it waits "*" in all" ]]
	[[ ${lines[1]} == "  "*" less without the other jobs of $(id -un)" ]]
	touch go
	zn-queue wait 3
	run -0 zn-queue blame -o table 3 1
	[[ ${lines[0]} == "job 3 waited "*"; decided again from what is on record, "* ]]
	[[ $output == *"job 1 waited "*", 0s"* ]]
	zn-queue blame -o csv --no-heading --fields id,wait_s,replayed_s 3 2 >got
	awk -F, '{ d = $2 - $3 } d > 5 || d < -5 { print; bad = 1 } END { exit bad || NR != 2 }' got
	quick -g 8 -t 1h --array 0-3 -- sleep 0.2
	zn-queue wait 4.1
	[[ "$(zn-queue blame -o csv --no-heading --fields id,index,replayed_s 4.0)" == 4,0,0* ]]
	zn-queue blame -o json 3 | grep -q '"causes":\[{"text":"the other jobs of '
}

@test "GPU hours of a quota that were used before are a cause" {
	printf '[quota user:%s]\ngpu_hours = 0.001\nwindow = 30s\n' "$(id -un)" >conf # 3.6 GPU seconds
	export ZENITH_CONFIG=$dir/conf
	quick -w -g 8 -t 10s -- sleep 1                                  # 1
	quick -g 1 -t 10s -- true                                        # 2
	until_true eval '[[ $(zn-queue why -o table 2) == *"GPU hours"* ]]'
	run -0 zn-queue blame -o table 2
	[[ $output == *" less without quotas of GPU hours"* && $output == *" less without the other jobs of $(id -un)"* ]]
	[[ $output != *"without quotas"$'\n'* ]]
}

@test "how many of an array may run at once is a cause, also when all have ended" {
	quick -g 1 -t 1m --array 0-2%1 -- sleep 1                        # 1
	await RUNNING 1.0
	run -0 zn-queue blame -o table 1.2
	[[ $output == *" less without limits of how many of an array may run at once"* ]]
	zn-queue wait 1
	[ "$(zn-queue show -o csv --no-heading --fields at_once 1.2)" = 1 ]
	run -0 zn-queue blame -o json 1.2
	[[ $output == *'"causes":['*'"limits of how many of an array may run at once","saved_s":2.'* ]]
}

@test "what never waited for room, or is no job, is said so" {
	quick --hold -- true
	run -1 --separate-stderr zn-queue blame 1
	[ "$stderr" = "zn-queue: it waits for something else than room, or never started: zn-queue why says what" ]
	run -1 --separate-stderr zn-queue blame 7
	[ "$stderr" = "zn-queue: there is no job 7" ]
	zn-queue cancel 1
	run -1 --separate-stderr zn-queue blame 1
	[[ $stderr == *"never started"* ]]
}

