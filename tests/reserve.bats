#!/usr/bin/env bats
# What is reserved for some users from one time until another: who may start there, and when.
load queue

quick() { zn-submit --output /dev/null "$@"; }
me() { id -un; }
# reserve NAME [options]: for who runs the tests, all day from now on unless the options say so.
reserve() { zn-queue reserve "$1" --user "$(me)" --until +1d "${@:2}"; }
others() { zn-queue reserve "$1" --user nobody --until +1d "${@:2}"; }
why() { zn-queue why -o table "$1"; }
gpus_of() { field gpus "$1"; }
has_ended() { [ -z "$(zn-queue reservations -o csv --no-heading)" ]; }

@test "on what is reserved others start nothing until it is taken away; those whose it is start there, and nowhere else" {
	nodes 'n1 mock=2' 'n2 mock=2'
	reserve course --node n1
	[[ $(zn-queue reservations -o json) == *'"name":"course"'*'"users":["'"$(me)"'"],"nodes":["n1"],"by":"'"$(me)"'"}' ]]
	quick -g 2 -t 1h -- true                                         # 1 goes to the other one
	blocker -g 1 -t 1h --reservation course >number                  # 2
	blocker -g 2 -t 1h --reservation course >number                  # 3 has no room there
	blocker -g 1 -t 1h >number                                       # 4
	blocker -g 1 -t 1h >number                                       # 5
	blocker -g 1 -t 1h >number                                       # 6 would have room on n1
	for job in 2 4 5; do await RUNNING "$job"; done
	zn-queue wait 1
	[ "$(field node 2) $(field node 4) $(field node 5) $(field node 1)" = "n1 n2 n2 n2" ]
	[ "$(state 3) $(state 6)" = "QUEUED QUEUED" ]
	[[ $(why 6) == *"n1: it is reserved until "*": 'course'"* ]]
	[[ $(why 3) == *"n2: reservation 'course' has nothing of it"* ]]
	[ "$(field reservation 3)" = course ]
	zn-queue unreserve course
	await RUNNING 6
	[ "$(field node 6)" = n1 ]
	is_state PENDING 3
	[ "$(field reason 3)" = "there is no reservation 'course'" ]
	touch go
	zn-queue wait 2 4 5 6
	[ "$(why 3)" = "job 3 is PENDING: there is no reservation 'course'" ]
	reserve course --node n2                                         # one of that name will do
	zn-queue wait 3
	[ "$(field node 3)" = n2 ]
}

@test "a gang starts on the nodes of its reservation, and one of others on the others" {
	nodes 'n1 mock=1' 'n2 mock=1' 'n3 mock=1' 'n4 mock=1'
	reserve course --node n2,n4
	quick -N 2 -g 2 -t 1h -- true                                    # 1
	quick -N 2 -g 2 -t 1h --reservation course -- true               # 2
	quick -N 3 -g 3 -t 1h --reservation course -- true               # 3 will not fit
	zn-queue wait 1 2
	nodes_of() { zn-queue show -o json "$1" | grep -o '"node":"n[0-9]"' | tr -d '\n'; }
	[ "$(nodes_of 1)" = '"node":"n1""node":"n3"' ]
	[ "$(nodes_of 2)" = '"node":"n2""node":"n4"' ]
	[[ $(why 3) == "job 3 is QUEUED: it can never start here: "* ]]
}

@test "of GPUs alone the others are everybody's" {
	others course --device 0-5
	[[ $(zn-queue reservations -o json) == *'"gpus":[0,1,2,3,4,5]'* ]]
	blocker -g 2 -t 1h >number                                       # 1
	await RUNNING 1
	[ "$(zn-queue show -o json 1 | grep -o '"gpus":\[[0-9,]*\]')" = '"gpus":[6,7]' ]
	quick -g 1 -t 1h -- true                                         # 2
	[ "$(state 2)" = QUEUED ]
	[[ $(why 2) == *"of its GPUs some are reserved until "*": 'course'"* ]]
	run -1 zn-submit --dry-run -o table -g 1 -t 1h -- true
	[[ $output == *"of its GPUs some are reserved until "* ]]
	zn-queue unreserve course
	zn-queue wait 2
	reserve mine --device 2,4
	blocker -g 2 -t 1h --reservation mine >number                    # 3
	await RUNNING 3
	[ "$(zn-queue show -o json 3 | grep -o '"gpus":\[[0-9,]*\]')" = '"gpus":[2,4]' ]
	touch go
	zn-queue wait 1 3
}

@test "before it begins others start what is over by then, and are told; those whose it is wait for it" {
	zn-queue reserve course --from +1h --until +2h --user "$(me)"
	quick -g 8 -t 2h -- true                                         # 1 would not be over
	quick -g 1 -t 30m -- true                                        # 2 is
	zn-queue wait 2
	quick -g 1 -t 10m --reservation course -- true                   # 3
	[ "$(state 1) $(state 3)" = "QUEUED PENDING" ]
	[[ $(why 1) == "job 1 is QUEUED: it fits, but would not be over when reservation 'course' begins, "* ]]
	[[ $(why 1) == *"with --time 59m59s it would start now"* || $(why 1) == *"with --time 59m5"*"s it would start now"* ]]
	expected=$(zn-queue why -o json 1 | sed -n 's/.*"expected_s":\([0-9.]*\).*/\1/p')
	awk "BEGIN { d = $expected - $(date +%s) - 7200; exit !(d > -10 && d < 10) }"
	[[ $(why 3) == "job 3 is PENDING: reservation 'course' begins "* ]]
	run -1 zn-submit --dry-run -o json -g 8 -t 10m --reservation course -- true
	[[ $output == *"reservation 'course' begins "* ]]
	expected=$(sed -n 's/.*"expected_s":\([0-9.]*\).*/\1/p' <<<"$output")
	awk "BEGIN { d = $expected - $(date +%s) - 3600; exit !(d > -10 && d < 10) }"
	run -1 zn-submit --dry-run -o json -g 1 -t 90m -- true
	[[ $output == *"it would not be over when reservation 'course' begins, "* ]]
	zn-queue unreserve course
	zn-queue wait 1
}

@test "it begins and ends by itself: who waited for it starts, who could not be over in time does not, and all go on after it" {
	zn-queue reserve course --from +2s --until +8s --user "$(me)"
	quick -g 1 -t 1s -p 2 --reservation course -- true               # 1
	quick -g 8 -t 1h -- true                                         # 2
	blocker -g 8 -t 5s -p 1 --reservation course >number             # 3
	[ "$(state 1) $(state 2) $(state 3)" = "PENDING QUEUED PENDING" ]
	quick -g 8 -t 3s --reservation course -- true                    # 4 could be over, were it not for 3
	await RUNNING 3
	zn-queue wait 1
	until_true is_state PENDING 4
	[[ $(field reason 4) == "by its time limit it would not be over when reservation 'course' ends, "* ]]
	touch go
	zn-queue wait 2
	until_true has_ended
	[ "$(field reason 4)" = "there is no reservation 'course'" ]
	begun=$(field start_s 1)
	awk "BEGIN { exit !($(field start_s 2) - $begun >= 5.9) }"
}

@test "what runs is not ended when others' time comes, and what they have it keeps" {
	blocker -g 1 -t 1h >number
	await RUNNING 1
	others course
	quick -g 1 -t 1m -- true                                         # 2
	[ "$(state 1) $(state 2)" = "RUNNING QUEUED" ]
	zn-queue unreserve course
	zn-queue wait 2
	[ "$(state 1)" = RUNNING ]
	touch go
	zn-queue wait 1
}

@test "one that is to run again has no place in what became others' meanwhile" {
	reserve course
	blocker -g 1 -t 1h --reservation course >number                  # 1
	await RUNNING 1
	zn-queue unreserve course
	others course
	[ "$(state 1)" = RUNNING ]
	zn-queue requeue 1
	await PENDING 1
	[[ $(why 1) == "job 1 is PENDING: reservation 'course' is for others: "* ]]
	zn-queue unreserve course
	reserve course
	touch go
	zn-queue wait 1
	[ "$(field attempt 1)" = 2 ]
}

@test "only those named may use it, with a time limit, and if there is one of that name" {
	no() { run --separate-stderr -65 quick "${@:2}" -- true; [[ ${stderr_lines[0]} == "zn-submit: "$1 ]] || { echo "$stderr"; false; }; }
	others course
	zn-queue reserve team --user "$(me)" --account paper --device 0 --from +2d --until +3d
	no "there is no reservation 'other'" -t 1m --reservation other
	no "reservation 'course' is for others: zn-queue reservations says for whom" -t 1m --reservation course
	no "reservation 'team' is for others: zn-queue reservations says for whom" -t 1m --reservation team
	no "in reservation 'team' a job needs a time limit: give it one with --time" --reservation team -A paper
	no "by its time limit it would not be over when reservation 'team' ends, *" -t 24h --reservation team -A paper # it would start a moment later
	run -1 zn-submit --dry-run -o json -t 1m --reservation other -- true
	[[ $output == *"there is no reservation 'other'"* ]]
	quick -t 23h --reservation team -A paper -- true
	[[ $(why 1) == "job 1 is PENDING: reservation 'team' begins "* ]]
	zn-queue modify --time 25h 1
	[[ $(why 1) == "job 1 is PENDING: by its time limit it would not be over when reservation 'team' ends, "* ]]
	zn-queue modify --time 1h 1
	[[ $(why 1) == "job 1 is PENDING: reservation 'team' begins "* ]]
	quick --hold -t 1m --reservation team -A paper -- true           # 2
	zn-queue unreserve team
	[ "$(field reason 2)" = "held by its owner" ]
}

@test "it stays over the death of zn-schedd and in a snapshot, and so does who waits for it" {
	reserve course --from +2d --until +3d --account a,b
	others demo --device 1
	quick -t 1m -A b --reservation course -- true
	was=$(zn-queue reservations -o json)
	kill -KILL "$(pid_of zn-schedd)"
	quick --hold -- true
	[ "$(zn-queue reservations -o json | sort)" = "$(sort <<<"$was")" ]
	{ echo '#!/bin/sh'; head -c 6000000 /dev/zero | tr '\0' '#'; } >big
	for _ in 1 2 3 4 5 6; do quick -t 1m big >>big.ids; done
	xargs zn-queue wait <big.ids
	until_true compgen -G "$ZENITH_SPOOL/journal/*.zs" >snapshot
	zn-schedd --stop
	[ "$(zn-queue reservations -o json | sort)" = "$(sort <<<"$was")" ]
	quick --hold -- true
	[ "$(zn-queue reservations -o json | sort)" = "$(sort <<<"$was")" ]
	[[ $(why 1) == "job 1 is PENDING: reservation 'course' begins "* ]]
	zn-queue unreserve demo
	kill -KILL "$(pid_of zn-schedd)"
	quick --hold -- true
	[ "$(zn-queue reservations -o csv --no-heading --fields name)" = course ]
}

@test "what is left of several machines is not kept for who had another one" {
	nodes 'n1 mock=2' 'n2 mock=2'
	reserve one --node n1
	reserve two --node n2
	zn-schedd --stop
	nodes 'n1 mock=2'
	quick -t 1m --reservation two -- true                            # 1
	quick -t 1m --reservation one -- true                            # 2
	zn-queue wait 2
	[[ $(why 1) == *"reservation 'two' has nothing of it"* ]]
	zn-queue unreserve one                                           # it may as well be n2 that is called n1 now
	zn-queue wait 1
}

@test "an array starts in it, and what is left of it waits when it ends" {
	zn-queue reserve course --until +3s --user "$(me)"
	quick --array 0-9%1 -g 1 -t 1s --reservation course -- sh -c "[ -e '$dir/go' ] || exec sleep 30"
	until_true has_ended
	[ "$(state 1.0) $(state 1)" = "FAILED PENDING" ]
	[ "$(field reason 1)" = "there is no reservation 'course'" ]
	touch go
	reserve course
	zn-queue wait 1 || :
	[ "$(state 1.9)" = COMPLETED ]
}

@test "who waits for what is reserved is told so by blame" {
	others course --device 1-7
	blocker -g 1 -t 1h                                               # 1
	await RUNNING 1
	quick -g 1 -t 2h -- true                                         # 2
	[ "$(state 2)" = QUEUED ]
	run -0 zn-queue blame -o json 2
	[[ $output == *'"text":"the jobs of '* || $output == *'"text":"the other jobs of '* ]]
	[[ $output == *'"text":"reservation '"'course'"'"'* ]]
	zn-queue unreserve course
	zn-queue wait 2
	touch go
	zn-queue wait 1
}

@test "what the wait of a job that started was made of is told without regard to what was reserved" {
	blocker -g 8 -t 1h >number                                       # 1
	await RUNNING 1
	quick -g 8 -t 1h -- true                                         # 2
	reserve course --from +1d --until +2d
	sleep 1.2
	touch go
	zn-queue wait 2
	zn-queue blame -o json 2 >before
	grep -q '"causes":\[' before
	zn-queue unreserve course
	others course
	zn-queue blame -o json 2 >after
	cmp before after
}

@test "an end that is a time of day is the first after the begin, also between the two" {
	export TZ=UTC
	now=$EPOCHSECONDS
	at() { date -d "@$((now + $1))" +%H:%M:%S; }
	span() { zn-queue reservations -o json | sed -n 's/.*"from_s":\([0-9]*\).*"until_s":\([0-9]*\).*/\1 \2/p'; }
	zn-queue reserve course --until "$(at 3600)" --user "$(me)" --from "$(at -3600)" # from tomorrow
	read -r from until < <(span)
	[ $((until - from)) -eq 7200 ]
	[ $((from - EPOCHSECONDS)) -gt 80000 ]
	run --separate-stderr -64 zn-queue reserve other --from 10:00 --until 25:00 --user "$(me)"
	[ "${stderr_lines[0]}" = "zn-queue: option '--until': '25:00' is not a time such as 18:30, +2h, 2026-12-31T18:30 or @1800000000" ]
}

@test "what makes no sense is refused" {
	bad() { run --separate-stderr "-$1" zn-queue reserve "${@:3}"; [[ ${stderr_lines[0]} == "zn-queue: "$2 ]] || { echo "$status $stderr"; false; }; }
	reserve course --from +1h --until +2h
	bad 64 "reserve makes one reservation: give it a name" --until +1h --user root
	bad 64 "until when is it: give --until" one --user root
	bad 65 "whom is reservation 'one' for: name users, or accounts" one --until +1h
	bad 65 "it can't be reserved until a time before it is" one --from +2h --until +1h --user root
	bad 65 "from when on it is reserved must be in the future" one --from 2020-01-01 --until +1h --user root
	bad 65 "there is no user 'nobody-here' here" one --until +1h --user root,nobody-here
	bad 65 "user 'root' is named twice" one --until +1h --user root,root
	bad 65 "there is a reservation 'course' already" course --from +5h --until +6h --user root
	bad 65 "node '*' is reserved then: 'course' has it from * until *" one --until +90m --user root --device 1
	bad 65 "node '*' has no gpu 8" one --until +30m --user root --device 7-8
	bad 64 "option '--device': *" one --until +30m --user root --device x
	bad 1 "there is no node 'elsewhere'" one --until +30m --user root --node elsewhere
	for i in 1 2 3 4 5 6 7; do reserve "later$i" --from "+${i}d" --until "+${i}d"1h --device "$i"; done
	bad 75 "drains and reservations are planned for 8 other times already" one --from +9d --until +10d --user root
	run --separate-stderr -75 zn-queue node drain --from +9d
	run --separate-stderr -1 zn-queue unreserve one
	[ "$stderr" = "zn-queue: there is no reservation 'one'" ]
	[ "$(zn-queue reservations -o csv --no-heading | wc -l)" -eq 8 ]
}

@test "#SBATCH lines name it, and a series goes on when it has ended" {
	printf '%s\n' '#!/bin/sh' '#SBATCH --reservation=course' '#SBATCH -t 1' true >script
	run --separate-stderr -65 zn-submit --output /dev/null script
	[ "$stderr" = "zn-submit: there is no reservation 'course'" ]
	reserve course
	zn-submit --output /dev/null script
	zn-queue wait 1
	[ "$(field reservation 1)" = course ]
	quick --every '*:*:0/2' -t 1s --reservation course -- true       # 2
	zn-queue wait 2
	until_true has_job 3
	zn-queue unreserve course
	waits=$(zn-queue list -o csv --no-heading --fields id)
	[ "$(field reason "$waits")" = "there is no reservation 'course'" ]
	reserve course
	zn-queue wait "$waits"
}

@test "many whose time in it is over on a full disk: what runs still ends, and they are told when there is room" {
	[ "$(id -u)" = 0 ] || skip "only root can mount a small disk"
	mkdir small && mount -t tmpfs -o size=64m tmpfs small 2>/dev/null || skip "no file system can be mounted here"
	export ZENITH_SPOOL=$dir/small/spool
	reserve course --until +35s --device 0
	blocker -g 1 -t 30s --reservation course >number                 # 1
	await RUNNING 1
	row='{"command":"/bin/true","directory":"/tmp","output":"/dev/null","resources":{"gpus":1,"time_limit_s":15},"policy":{"reservation":"course"}}'
	for ((i = 0; i < 3000; i++)); do echo "$row"; done | zn-submit --records >waiting
	run -1 dd if=/dev/zero of=small/fill bs=64k                      # until there is no space left
	pad=$(head -c 100000 /dev/zero | tr '\0' x)
	while zn-submit --hold --env "A=$pad" --env "B=$pad" --env "N=$((n++))" --output /dev/null -- true >/dev/null 2>&1; do :; done
	server=$(pid_of zn-schedd)
	until_true is_state PENDING "$(head -n 1 waiting)"
	touch go
	timeout 100 zn-queue wait 1 || [ $? -eq 1 ]                       # its time may be over before the disk is full
	[ "$(pid_of zn-schedd)" = "$server" ]
	rm small/fill
	until_true none_is_in_line
	zn-schedd --stop
	until_true none_is_left
	umount small
	export ZENITH_SPOOL=$dir/spool
}
none_is_in_line() { ! zn-queue -o csv --no-heading --fields state | grep -q QUEUED; }
has_job() { zn-queue show "$1" >/dev/null 2>&1; }
