#!/usr/bin/env bats
# Quotas: what users and accounts may use at once and over time.
load queue

conf() { cat >conf; export ZENITH_CONFIG=$dir/conf; }
quick() { zn-submit --output /dev/null "$@"; }
why() { zn-queue why -o table "$1" | head -n 1; }
me() { id -un; }

@test "who has all that he is allowed waits, with the reason; others go on; then he starts" {
	conf <<<$'[quota account:vision]\ngpus = 3\n[quota account:talk]\nrunning = 1\n'
	blocker -g 2 -A vision -t 1h >number                             # 1
	quick -g 2 -A vision -p 5 -t 1h -- true                          # 2 is first in line, and out
	quick -A talk -t 1h -- sh -c "until [ -e go2 ]; do sleep 0.02; done" # 3
	quick -A talk -- true                                            # 4
	quick -g 6 -- true                                               # 5 takes what 2 might have waited for
	quick -g 1 -A vision -- true                                     # 6 comes after 2, of the same account
	zn-queue wait 5
	[ "$(state 6)" = QUEUED ]
	[ "$(why 2)" = "job 2 is QUEUED: needs 2 gpus; account vision has 2 of the 3 that the quota allows" ]
	[ "$(why 4)" = "job 4 is QUEUED: needs 1 running job; account talk has 1 of the 1 that the quota allows" ]
	zn-queue why -o json 2 >two
	run ! grep smallest two
	[ "$(why 6)" = "job 6 is QUEUED: it comes after job 2 of the same user or account, which waits for the quota" ]
	expected=$(sed -n 's/.*"expected_s":\([0-9.]*\).*/\1/p' two)
	awk "BEGIN { d = $expected - $(field start_s 1) - 3600; exit !(d < 1 && d > -1) }"
	touch go go2
	zn-queue wait 2 4 6
}

@test "cpus and memory that jobs ask for are counted; a job that asks more than is allowed is not accepted" {
	conf <<<$'[quota user:*]\ncpus = 1\nmem = 1G\ngpus = 4\n'
	no() { run --separate-stderr -65 quick "${@:2}" -- true; [ "$stderr" = "zn-submit: $1" ] || { echo "$stderr"; false; }; }
	no "it asks 5 gpus, and user $(me) may have 4 (quota)" -g 5
	no "it asks 2 cpus, and user $(me) may have 1 (quota)" -c 2
	no "it asks 1073741825 bytes of memory, and user $(me) may have 1073741824 (quota)" -m 1073741825
	blocker -g 1 -m 600M >number
	quick -w -g 3 -m 400M -- true
	quick -g 1 -m 500M -- true
	[ "$(why 3)" = "job 3 is QUEUED: needs 500.0M of memory; user $(me) has 600.0M of the 1.0G that the quota allows" ]
	touch go
	zn-queue wait 1 3
}

@test "so many may wait: the next one is told to try again, but a retry of one that was accepted is not" {
	conf <<<"[quota user:$(me)]"$'\nqueued = 2\n'
	quick --hold --key a -- true
	quick --hold -- true
	run --separate-stderr -75 quick --hold --key b -- true
	[ "$stderr" = "zn-submit: user $(me) has 2 jobs that wait, and may have 2 (quota)" ]
	[ "$(quick --hold --key a -- true)" = 1 ]
	zn-queue release 1
	zn-queue wait 1
	[ "$(quick --hold --key b -- true)" = 3 ]
	row='{"command":"/bin/true","directory":"/tmp","output":"/dev/null","hold":true}'
	zn-queue cancel 3
	run --separate-stderr -75 zn-submit --records <<<"$row"$'\n'"$row"$'\n'"$row"
	[ "$output" = 4 ]
}

@test "what is run at a job's end is not kept out by its owner's quota" {
	conf <<<$'[quota user:*]\nqueued = 1\nrunning = 1\n'
	quick --on-end "touch $dir/ended" -- sleep 0.3
	quick -- sleep 0.1
	until_true exists ended
	zn-queue wait 1 2
}

@test "GPU hours in a window are counted while a job runs, and until the window has passed on" {
	conf <<<"[quota user:$(me)]"$'\ngpu_hours = 0.0005\nwindow = 6s\n' # 1.8 GPU seconds
	quick -w -g 4 -- sleep 0.6
	quick -g 1 -- true
	quick -w -- true                                                 # without GPUs
	[[ $(why 2) == "job 2 is QUEUED: user $(me) used "*" of the 0.0005 GPU hours that the quota allows in 6.00s" ]]
	[[ $(zn-queue quotas -o csv --no-heading --fields name,gpu_hours,gpu_hours_used) == "$(me),0.0005,0.000"[6-9]* ]]
	kill -KILL "$(pid_of zn-schedd)"                                 # the journal knows it still
	until_true start # its threads may end a moment later
	[ "$(state 2)" = QUEUED ]
	zn-queue wait 2
	awk "BEGIN { d = $(field start_s 2) - $(field end_s 1); exit !(d > 4 && d < 9) }"
}

@test "GPU hours of a run that was requeued count, for zn-queue and after a start too" {
	conf <<<$'[quota user:*]\ngpu_hours = 1\n'
	blocker -g 8 --requeue 1 >number
	await RUNNING 1
	sleep 0.8
	zn-queue requeue 1
	await RUNNING 1
	touch go
	zn-queue wait 1
	hours() { zn-queue quotas -o csv --no-heading --fields gpu_hours_used; }
	used=$(hours)
	awk "BEGIN { s = $used * 3600; t = 8 * ($(field end_s 1) - $(field start_s 1)); exit !(s > t + 5 && s < t + 20) }" # both runs
	kill -KILL "$(pid_of zn-schedd)"
	quick -w -g 1 -- sleep 0.1
	awk "BEGIN { s = 3600 * ($(hours) - $used); exit !(s > 0.05 && s < 1) }"
}

@test "an account can be for some, and one job too many in the drop directory waits there" {
	conf <<<$'[quota account:theirs]\nusers = nobody, root-too\n[quota account:ours]\nusers = nobody, '"$(me)"$'\nqueued = 1\n'
	run --separate-stderr -77 quick -A theirs -- true
	[ "$stderr" = "zn-submit: account 'theirs' is not for user $(me)" ]
	quick -A ours --hold -- true
	zn-schedd --stop
	until_true no_schedd
	ZENITH_AUTOSTART=no quick -A ours --hold -- true
	ZENITH_AUTOSTART=no quick -A ours --hold -- true
	start
	until_true grep -q "account ours has 1 jobs that wait, and may have 1" spool/schedd.log
	[ "$(ls spool/drop/*/*.zr | wc -l)" -eq 2 ]
	zn-queue cancel 1
	until_true zn-queue show 2 >/dev/null
	[ "$(ls spool/drop/*/*.zr | wc -l)" -eq 1 ]
	[ "$(grep -c 'ours has 1 jobs that wait' spool/schedd.log)" -le 2 ]
}
no_schedd() { [ -z "$(pid_of zn-schedd)" ]; }

@test "what runs and waits is counted again after a start of zn-schedd; suspended and requeued jobs are counted right" {
	conf <<<$'[quota user:*]\ngpus = 3\n'
	blocker -g 2 --requeue 1 >number
	quick -g 2 -- true
	await RUNNING 1
	zn-queue suspend 1
	use() { zn-queue quotas -o csv --no-heading --fields running_now,queued_now,gpus_now; }
	is_use() { [ "$(use)" = "$1" ]; }
	until_true is_use 1,1,2
	kill -KILL "$(pid_of zn-schedd)"
	quick -w -- true
	[ "$(state 2) $(use)" = "QUEUED 1,1,2" ]
	zn-queue resume 1
	zn-queue requeue 1
	touch go
	zn-queue wait 1 2
	until_true is_use 0,0,0
}

@test "quotas are listed: those that are named, and of each who is there" {
	conf <<<$'[quota user:*]\ngpus = 3\n[quota account:vision]\nrunning = 2\n[quota user:nobody-here]\ncpus = 8\nwindow = 1d\n'
	blocker -g 1 -c 1 -m 1M -A vision >number
	await RUNNING 1
	run -0 zn-queue quotas -o csv --fields of,name,running_now,running,gpus_now,gpus,cpus_now,cpus,mem_now_bytes,window_s
	[ "${lines[1]}" = "account,vision,1,2,1,,1,,1048576,604800.0" ]
	[ "$(printf '%s\n' "${lines[@]}" | grep -c "^user,$(me),1,,1,3,1,,1048576,604800.0$")" -eq 1 ]
	[ "$(printf '%s\n' "${lines[@]}" | grep -c '^user,nobody-here,0,,0,,0,8,0,86400.0$')" -eq 1 ]
	[ "${#lines[@]}" -eq 4 ]
	touch go
}

@test "a queue without quotas lists none; scripts name their account for Slurm" {
	printf '#!/bin/sh\n#SBATCH -A vision\n#ZN --name x\nexit 0\n' >job.sh
	zn-submit -w --output /dev/null job.sh
	[ "$(field account 1)" = vision ]
	[ -z "$(zn-queue quotas -o json)" ]
}

@test "a quota that makes no sense is named with its file, and nothing starts" {
	bad() { printf '%s\n' "$1" >bad.conf; run --separate-stderr -64 zn-schedd --config "$dir/bad.conf" --spool "$dir/spool"; [ "$stderr" = "zn-schedd: '$dir/bad.conf': $2" ] || { echo "$stderr"; false; }; }
	bad $'[quota user:ann]\ngpus = many' "[quota user:ann] gpus = 'many' makes no sense"
	bad $'[quota user:ann]\ngpus = -1' "[quota user:ann] gpus = '-1' makes no sense"
	bad $'[quota user:ann]\nshoes = 1' "[quota user:ann] has no key 'shoes'"
	bad $'[quota user:ann]\ngpus = 1\n[quota user:bob]\ngpus = 2\n[quota user:ann]\ngpus = 3' "[quota user:ann] gpus stands twice or goes on in a second line"
	bad $'[quota group:ann]\ngpus = 1' "[quota group:ann] is none: [quota user:NAME] or [quota account:NAME], of 48 bytes at most"
	bad $'[quota user: ann]\ngpus = 1' "[quota user: ann] is none: [quota user:NAME] or [quota account:NAME], of 48 bytes at most"
	bad $'[quota user:ann]\nusers = bob' "[quota user:ann] users is for accounts"
	bad $'[quota user:]\ngpus = 1' "[quota user:] is none: [quota user:NAME] or [quota account:NAME], of 48 bytes at most"
	bad $'[quota user:ann]\ngpu_hours = nan' "[quota user:ann] gpu_hours = 'nan' makes no sense"
	bad $'[quota user:ann]\nwindow = 0.5s' "[quota user:ann] window = '0.5s': a second at least"
}

@test "beyond a soft limit start those who can be sent back, when nobody else can; they go for who is within his own" {
	conf <<<$'[quota account:vision]\nsoft_gpus = 4\ngpus = 7\n[quota account:speech]\nsoft_gpus = 4\n'
	run --separate-stderr -65 quick -A vision -g 5 -- true
	[ "$stderr" = "zn-submit: it asks 5 gpus, and account vision may have 4 (quota; more for preemptible jobs alone)" ]
	blocker -A vision -g 4 -t 1h >number                             # 1 is within
	await RUNNING 1
	quick -A vision -g 1 -t 1h -- true                               # 2 can't be sent back
	blocker -A vision -g 2 --preemptible --grace 1s -t 1h >number    # 3 is beyond
	await RUNNING 3
	[ "$(state 2)" = QUEUED ]
	[ "$(why 2)" = "job 2 is QUEUED: needs 1 gpu; account vision has 4 of the 4 that the quota allows a job that is not preemptible" ]
	[ "$(field over_quota 3)" = true ]
	[ -z "$(field over_quota 1)" ]
	zn-queue quotas -o json | grep -q '"name":"vision".*"running_now":2.*"gpus_now":6,"gpus":7.*"running_over":1,"soft_gpus":4'
	blocker -A vision -g 2 --preemptible --grace 1s -t 1h >number    # 4 would be more than the hard limit
	[ "$(why 4)" = "job 4 is QUEUED: needs 2 gpus; account vision has 6 of the 7 that the quota allows" ]
	blocker -A speech -g 4 -p -5 -t 1h >number                       # 5 is less urgent, but within its own
	await RUNNING 5
	until_true is_state QUEUED 3
	[ "$(field preempted 3)" = 1 ]
	[ "$(field reason 3)" = "preempted for job 5" ]
	[ -z "$(field over_quota 3)" ]
	kill -KILL "$(pid_of zn-schedd)"
	zn-queue list >list
	[ "$(state 5)" = RUNNING ]
	touch go
	zn-queue wait 1 2 3 4 5
}

@test "who is over his quota still is after a restart" {
	conf <<<$'[quota user:*]\nsoft_running = 1\n'
	blocker -g 1 >number
	blocker -g 1 --preemptible >number
	await RUNNING 2
	kill -KILL "$(pid_of zn-schedd)"
	zn-queue list >list
	[ "$(field over_quota 2)" = true ]
	[ "$(zn-queue quotas -o csv --no-heading --fields running_now,running_over)" = 2,1 ]
	touch go
	zn-queue wait 1 2
	[ -z "$(zn-queue quotas -o csv --no-heading --fields running_over)" ]
}

@test "who was over a soft limit that the next configuration has not is over it no more, and stays" {
	conf <<<$'[quota user:*]\nsoft_gpus = 1\n'
	blocker -g 2 --preemptible -p 1 >number                          # 1
	await RUNNING 1
	[ "$(field over_quota 1)" = true ]
	kill -KILL "$(pid_of zn-schedd)"
	conf <<<$'[quota user:*]\ngpus = 9\n'
	quick -g 7 -- true                                               # 2 is less urgent
	quick -w -g 1 -- true
	[ "$(state 1) $(state 2)" = "RUNNING QUEUED" ]
	[ -z "$(field over_quota 1)" ]
	[ -z "$(zn-queue quotas -o csv --no-heading --fields running_over)" ]
	touch go
	zn-queue wait 1 2
}
