#!/usr/bin/env bats
# zn-schedd: coming and going, and what unlucky or hostile clients can't do to it.
load queue

foreground() { zn-schedd 2>log 3>&- & pid=$!; until_true exists "$ZENITH_SPOOL/sock"; }

@test "one in the foreground answers too, and ends with SIGTERM and status 0; its idle agent goes too" {
	foreground
	id=$(ZENITH_AUTOSTART=no zn-submit --wait -- true)
	[ "$(state "$id")" = COMPLETED ]
	agent=$(pid_of zn-noded)
	kill "$pid"
	wait "$pid"
	until_true ended "$agent"
}

@test "a spool has one owner: a second zn-schedd exits 75 and says why" {
	foreground
	run --separate-stderr -75 zn-schedd
	[[ $stderr == 'zn-schedd: '*"$ZENITH_SPOOL"* ]]
	run -75 zn-schedd --detach
}

@test "--stop returns when the spool is free: the next one starts at once, five times in a row" {
	for _ in 1 2 3 4 5; do
		run -0 zn-schedd --detach
		run -0 zn-schedd --stop
	done
}

@test "--stop without one exits 69; an operand exits 64" {
	run --separate-stderr -69 zn-schedd --stop
	[[ $stderr == "zn-schedd: no zn-schedd answers in '$ZENITH_SPOOL'" ]]
	run -64 zn-schedd what
}

@test "a configuration that makes no sense exits 64 with file and key; a missing one is named" {
	printf '[queue]\ngrace = soon\n' >bad.conf
	run --separate-stderr -64 zn-schedd --config bad.conf
	[[ $stderr == *"bad.conf"*"grace"*"soon"* ]]
	printf '[queue]\nno_such_key = 1\n' >bad.conf
	run --separate-stderr -64 zn-schedd --config bad.conf
	[[ $stderr == *no_such_key* ]]
	run --separate-stderr zn-schedd --config missing.conf
	[ "$status" -ne 0 ]
	[[ $stderr == *missing.conf* ]]
}

@test "a submit that can't start zn-schedd says so and keeps nothing" {
	printf '[queue]\ngrace = soon\n' >bad.conf
	ZENITH_CONFIG=$dir/bad.conf run --separate-stderr -69 zn-submit -- true
	[ -z "$output" ]
	[[ $stderr == *schedd.log* ]]
	[ -z "$(ls "$ZENITH_SPOOL/drop/$(id -u)" 2>/dev/null)" ]
}

@test "a lock of the caller's does not live on in a zn-schedd that it started" {
	exec 9>held
	flock 9
	zn-submit --wait -- true
	exec 9>&-
	flock -n held true
}

@test "jobs get the limits and signals that zn-schedd was given" {
	(ulimit -Sn 300; trap '' PIPE HUP; zn-submit --wait --output out -- /bin/sh -c 'ulimit -Sn; grep SigIgn /proc/self/status')
	[ "$(head -n 1 out)" = 300 ]
	ignored=0x$(sed -n 's/SigIgn:[[:space:]]*//p' out)
	((!(ignored & 1 << 12) && !(ignored & 1))) # SIGPIPE, SIGHUP
}

@test "20 first submits at once start one zn-schedd and one agent" {
	for i in {1..20}; do zn-submit -- true >"n.$i" & done
	wait
	[ "$(cat n.* | sort -un | wc -l)" -eq 20 ]
	[ "$(pid_of zn-schedd | wc -l)" -eq 1 ]
	until_true test -n "$(pid_of zn-noded)"
	[ "$(pid_of zn-noded | wc -l)" -eq 1 ]
}

@test "one that was started on demand goes away when it has nothing to do, and its agent with it" {
	printf '[queue]\nidle_exit = 2s\n' >zenith.conf
	export ZENITH_CONFIG=$dir/zenith.conf
	zn-submit --wait -- true
	pid=$(pid_of zn-schedd) agent=$(pid_of zn-noded)
	until_true ended "$pid"
	until_true ended "$agent"
	zn-submit --wait -- true
	[ "$(zn-queue list --all -o json | wc -l)" -eq 2 ]
}

@test "a GPU that the agent can't lease is tried again more and more seldom, not in a loop" {
	chmod 0755 leases # not sticky: the agent refuses to use it
	id=$(zn-submit -g 1 -- true)
	until_true test -n "$(field attempt "$id")"
	run -75 zn-queue wait --timeout 2s "$id"
	[ "$(field attempt "$id")" -lt 8 ]
	[[ $(zn-queue why -o json "$id") == *"lease directory"* ]]
	run -0 zn-submit --wait -- true # others go on meanwhile
	zn-queue cancel "$id"
}

@test "a finish command gets every ended job's record on its standard input and the essence in its environment" {
	printf '[queue]\non_finish = cat >> %s/hook; echo $ZENITH_JOB_ID $ZENITH_JOB_STATE $ZENITH_JOB_EXIT_CODE >> %s/env\n' \
		"$dir" "$dir" >zenith.conf
	export ZENITH_CONFIG=$dir/zenith.conf
	for i in {1..20}; do zn-submit -- /bin/sh -c 'exit 3' >/dev/null; done
	until_true has_lines 20 env
	until_true has_lines 20 hook
	[ "$(sort -n env | head -n 1)" = "1 FAILED 3" ]
	[ "$(grep -c '"state":"FAILED".*"exit_code":3' hook)" -eq 20 ]
}
