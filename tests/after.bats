#!/usr/bin/env bats
# Jobs that wait for the end of others.
load queue

quick() { zn-submit --output /dev/null "$@"; }
reason() { zn-queue show -o json "$1" | sed -n 's/.*"reason":"\([^"]*\)".*/\1/p'; }

is_reason() { [ "$(reason "$1")" = "$2" ]; }

@test "a job starts when those it waits for have ended as they must; who can't start any more is cancelled, and says why" {
	blocker >number                                                  # 1
	quick --after 1 -- true                                          # 2
	quick --after 1:fail -- true                                     # 3 never
	quick --after 3:ok,2 -- true                                     # 4 never, for 3
	quick --after 4:any -- sh -c 'exit 3'                            # 5
	quick --after 5:fail,2:any,1:ok -- true                          # 6
	for i in 2 3 4 5 6; do [ "$(state $i)" = PENDING ]; done
	[ "$(reason 4)" = "waits for job 3 to end well, and for 1 more" ]
	[ "$(field after 5)" = "4:any" ]
	run -0 zn-queue why -o table 2
	[ "$output" = "job 2 is PENDING: waits for job 1 to end well" ]
	touch go
	run -0 zn-queue wait 6
	[ "$(for i in 1 2 3 4 5 6; do state $i; done | xargs)" = "COMPLETED COMPLETED CANCELLED CANCELLED FAILED COMPLETED" ]
	[ "$(reason 3)" = "job 1 ended well, and this one was to start only if it failed" ]
	[ "$(reason 4)" = "job 3 was cancelled, and this one was to start only after its success" ]
	zn-queue history -o csv --no-heading --fields id,start_s,end_s | sort -n >starts
	awk -F, '{ s[$1] = $2; e[$1] = $3 } END { exit !(s[2] >= e[1] && s[5] >= e[4] && s[6] >= e[5] && !s[3] && !s[4]) }' starts
}

@test "a job that was cancelled has failed for who waits; so has one that was never started" {
	blocker >number
	quick --after 1:fail -- true
	quick --hold -- true
	quick --after 3:fail -- true
	await RUNNING 1
	zn-queue cancel 1 3
	zn-queue wait 2 4
	[ "$(state 2) $(state 4)" = "COMPLETED COMPLETED" ]
}

@test "what has ended already counts, and what could never start is not accepted" {
	quick -- true
	quick -- false
	run -1 zn-queue wait 1 2
	quick -w --after 1,2:any -- true
	[ "$(field after 3)" = "" ]
	no() { run --separate-stderr "-$1" quick --after "$2" -- true; [ "$stderr" = "zn-submit: $3" ] || { echo "$stderr"; false; }; }
	no 65 2 "it could never start: job 2 failed, and this one was to start only after its success"
	no 65 1:fail "it could never start: job 1 ended well, and this one was to start only if it failed"
	no 65 99 "there is no job 99 to wait for"
	no 65 4 "there is no job 4 to wait for"
	no 65 1,2:any,1 "after: job 1 is named twice"
	no 64 1:soon "job 1 can be waited for as ok, any or fail, not 'soon'"
	no 64 1, "'' is no job number"
	no 64 -1 "'-1' is no job number"
	no 64 0 "'0' is no job number"
	no 65 "$(seq -s, 1 1025)" "after: a job waits for 1024 others at most, not 1025"
	[ "$(quick -- true)" = 4 ]                                       # nothing of that took a number
}

@test "records name them as a list" {
	blocker >number
	row() { printf '{"command":"/bin/true","directory":"/tmp","output":"/dev/null","policy":{"after":%s}}\n' "$1"; }
	[ "$(row '[{"job":1,"on":"ok"},{"job":1,"on":"any"}]' | zn-submit --records 2>&1)" = "zn-submit: record 1, line 1: after: job 1 is named twice" ]
	[[ "$(row '[{"on":"ok"}]' | zn-submit --records 2>&1)" == *"after: a job is missing or 0" ]]
	[[ "$(row '[{"job":1,"on":"often"}]' | zn-submit --records 2>&1)" == *"on must be ok, any or fail, not 'often'" ]]
	{ row '[{"job":1}]'; row '[{"job":2,"on":"any"}]'; } | zn-submit --records >ids
	[ "$(xargs <ids)" = "2 3" ]
	[ "$(field after 2) $(field after 3)" = "1:ok 2:any" ]
	touch go
	zn-queue wait 3
}

@test "who is held waits on when the others have ended, and who begins later begins later" {
	blocker >number
	quick --after 1 --hold -- true
	quick --after 1 --begin +2s -- true
	touch go
	zn-queue wait 1
	until_true is_reason 3 "waits for its begin time" || { reason 3; false; }
	[ "$(reason 2)" = "held by its owner" ]
	zn-queue wait 3
	[ "$(state 2)" = PENDING ]
	zn-queue release 2
	zn-queue wait 2
	awk "BEGIN { exit !($(field start_s 3) >= $(field begin_s 3)) }"
}

@test "what ends while zn-schedd is dead, and what it had not come to tell, is told by the next one" {
	blocker >number
	quick --after 1 -- true
	quick --after 2:fail -- true
	quick --after 3 -- true
	quick --hold --after 4:any -- true
	await RUNNING 1
	pid=$(pid_of zn-schedd)
	kill -KILL "$pid"
	until_true ended "$pid"
	touch go
	until_true grep -qs exited spool/node/events
	until_true start
	run -1 zn-queue wait 2 3 4                                       # 3 and 4 are cancelled
	[ "$(state 2) $(state 3) $(state 4) $(state 5)" = "COMPLETED CANCELLED CANCELLED PENDING" ]
	until_true is_reason 5 "held by its owner"
	kill -KILL "$(pid_of zn-schedd)"
	zn-queue release 5
	zn-queue wait 5
}

@test "run again, a job that never ran waits as before, and is refused if it could never start" {
	quick --hold -- true                                             # 1
	quick --after 1 -- true                                          # 2
	zn-queue cancel 2
	[ "$(zn-queue requeue 2)" = 3 ]
	[ "$(state 3) $(field after 3)" = "PENDING 1:ok" ]
	zn-queue cancel 1
	run -1 zn-queue wait 3
	run --separate-stderr -65 zn-queue requeue 3
	[ "$stderr" = "zn-queue: it could never start: job 1 was cancelled, and this one was to start only after its success" ]
}

@test "of many that are waited for the first are named; a begin time is not the reason while others are waited for" {
	row() { printf '{"command":"/bin/true","directory":"/tmp","output":"/dev/null","hold":true}\n%.0s' {1..40}; }
	row | zn-submit --records >many
	quick --after "$(seq -s, 1 40)" --begin +1h -- true              # 41
	zn-queue show -o json 41 | grep -q '"after":"1:ok,2:ok,.*,16:ok,+24"'
	[ "$(zn-queue why -o table 41)" = "job 41 is PENDING: waits for job 1 to end well, and for 39 more" ]
	zn-queue release $(seq 1 30)
	zn-queue wait $(seq 1 30)
	until_true is_reason 41 "waits for job 31 to end well, and for 9 more"
	zn-queue show -o json 41 | grep -q '"after":"31:ok,32:ok,.*,40:ok"'
}

@test "a long chain, and many who wait for one, are all told" {
	blocker >number
	for ((i = 1; i <= 3000; i++)); do
		printf '{"command":"/bin/true","directory":"/tmp","output":"/dev/null","policy":{"after":[{"job":%d}]}}\n' "$i"
	done | zn-submit --records >chain                                # each waits for the one before
	for ((i = 1; i <= 3000; i++)); do
		printf '{"command":"/bin/true","directory":"/tmp","output":"/dev/null","hold":true,"policy":{"after":[{"job":1,"on":"fail"},{"job":%d,"on":"any"}]}}\n' $((i + 1))
	done | zn-submit --records >wide
	await RUNNING 1
	zn-queue cancel 2                                                # the whole chain goes
	run -1 zn-queue wait "$(tail -n 1 chain)"
	[ "$(zn-queue history -o csv --no-heading --fields state | sort | uniq -c | xargs)" = "3000 CANCELLED" ]
	[ "$(zn-queue -o csv --no-heading --fields after | grep -c '^1:fail$')" -eq 3000 ]
	touch go                                                         # job 1 ends well: so does what waits for its failure
	run -123 xargs zn-queue wait <wide                               # 1, as xargs says it
	[ "$(zn-queue history -o csv --no-heading --fields state | sort | uniq -c | xargs)" = "6000 CANCELLED 1 COMPLETED" ]
}

@test "a finished job that is run again waits for nobody; #SBATCH lines say it too" {
	quick -w -- true
	printf '#!/bin/sh\n#SBATCH -d afterok:1,afterany:1\nexit 0\n' >twice.sh
	run --separate-stderr -65 zn-submit twice.sh
	[ "$stderr" = "zn-submit: after: job 1 is named twice" ]
	blocker >number
	quick -w -- true
	printf '#!/bin/sh\n#SBATCH --dependency=afterok:1:2,afterany:3\nexit 0\n' >job.sh
	zn-submit --output /dev/null job.sh
	[ "$(field after 4)" = "2:ok" ]
	touch go
	zn-queue wait 4
	zn-queue requeue 4
	zn-queue wait 5
	printf '#!/bin/sh\n#SBATCH -d singleton\nexit 0\n' >one.sh
	run --separate-stderr -65 zn-submit one.sh
	[ "$stderr" = "zn-submit: #SBATCH --dependency 'singleton': only afterok, afterany and afternotok, all of them, can be had" ]
}

@test "a submission that is left for later waits too, and is refused if it could never start" {
	run -1 quick -w -- false
	blocker >number
	zn-schedd --stop
	until_true none_but_agent
	export ZENITH_AUTOSTART=no
	quick --after 2 -- true >good
	quick --after 1 -- true >bad
	unset ZENITH_AUTOSTART
	start
	until_true zn-queue show "$(cat good)" >/dev/null
	[ "$(field after "$(cat good)")" = "2:ok" ]
	run ! zn-queue show "$(cat bad)"
	touch go
	zn-queue wait "$(cat good)"
}
none_but_agent() { [ -z "$(pid_of zn-schedd)" ]; }

@test "many who wait for one that ends on a full disk: what runs still ends, and they start when there is room" {
	[ "$(id -u)" = 0 ] || skip "only root can mount a small disk"
	mkdir small && mount -t tmpfs -o size=64m tmpfs small 2>/dev/null || skip "no file system can be mounted here"
	export ZENITH_SPOOL=$dir/small/spool
	blocker >number                                                  # 1
	zn-submit --output /dev/null -- sh -c "until [ -e '$dir/go2' ]; do sleep 0.05; done"
	row='{"command":"/bin/true","directory":"/tmp","output":"/dev/null","policy":{"after":[{"job":1}]}}'
	for ((i = 0; i < 2500; i++)); do echo "$row"; done | zn-submit --records >waiting
	await RUNNING 2
	run -1 dd if=/dev/zero of=small/fill bs=64k                      # until there is no space left
	pad=$(head -c 100000 /dev/zero | tr '\0' x)
	while zn-submit --hold --env "A=$pad" --env "B=$pad" --env "N=$((n++))" --output /dev/null -- true >/dev/null 2>&1; do :; done
	touch go
	timeout 60 zn-queue wait 1
	touch go2                                                        # what runs ends all the same
	timeout 60 zn-queue wait 2
	[ "$(zn-queue -o csv --no-heading --fields state | grep -c PENDING)" -gt 2500 ]
	rm small/fill
	timeout 100 zn-queue wait "$(tail -n 1 waiting)" "$(head -n 1 waiting)"
	until_true none_waits
	[ "$(zn-queue history -o csv --no-heading --fields state | sort | uniq -c | xargs)" = "2502 COMPLETED" ]
	zn-schedd --stop
	until_true none_is_left
	umount small
	export ZENITH_SPOOL=$dir/spool
}
none_waits() { [ "$(zn-queue -o csv --no-heading --fields after | grep -c .)" -eq 0 ]; }
