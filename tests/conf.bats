#!/usr/bin/env bats
# The configuration file, and the command that runs when a job has ended.
bats_require_minimum_version 1.5.0

setup() {
	export ZENITH_SPOOL=$BATS_TEST_TMPDIR/s ZENITH_LEASE_DIR=$BATS_TEST_TMPDIR/l ZENITH_MOCK_GPUS=0
	export ZENITH_CONFIG=$BATS_TEST_TMPDIR/zenith.conf
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	[ ! -S "$ZENITH_SPOOL/sock" ] || zn-schedd --stop
}

# refused LINES SENTENCE: zn-schedd does not start with this file and says why.
refused() {
	printf '%b' "$1" >"$ZENITH_CONFIG"
	run --separate-stderr -64 zn-schedd
	[ "$stderr" = "zn-schedd: '$ZENITH_CONFIG': $2" ] || { echo "$stderr"; false; }
}

@test "what the configuration does not know is refused by name" {
	refused '[queue]\nnope = 1\n' "[queue] has no key 'nope'"
	refused '[nope]\ngrace = 1\n' "[nope] has no key 'grace'"
	refused '[queue]\ngrace = soon\n' "[queue] grace = 'soon' makes no sense"
	refused '[queue]\nreservations = 17\n' "[queue] reservations = '17': a number from 1 to 16"
	refused '[queue]\nreservations = 0\n' "[queue] reservations = '0': a number from 1 to 16"
	refused '[queue]\nautostart = perhaps\n' "[queue] autostart = 'perhaps' makes no sense"
}

@test "a value that goes on in a second line is refused, not cut to its end" {
	refused '[queue]\non_finish = true &&\n  false\n' \
		"[queue] on_finish stands twice or goes on in a second line"
}

@test "a configuration that was named and is not there is an error" {
	run --separate-stderr ! zn-schedd --config "$PWD/none"
	[[ $stderr == *"'$PWD/none'"* ]]
}

@test "on_finish gets the record on standard input and the outcome in its environment" {
	mkfifo told
	printf '[queue]\non_finish = { printenv ZENITH_JOB_STATE ZENITH_JOB_EXIT_CODE ZENITH_JOB_NAME; cat; } >%s/told\n' \
		"$PWD" >"$ZENITH_CONFIG"
	zn-submit -n "a b" -- sh -c 'exit 3'
	mapfile -t line <told
	[ "${line[0]} ${line[1]} ${line[2]}" = "FAILED 3 a b" ]
	[ "$(zn-fmt -o csv --select id,name,state,exit_code --no-heading <<<"${line[3]}")" = "1,a b,FAILED,3" ]
}

@test "jobs without a time limit get the configured one" {
	printf '[queue]\ndefault_time_limit = 1h\n' >"$ZENITH_CONFIG"
	job=$(zn-submit --hold -- true)
	[ "$(zn-queue show -o csv --fields time_limit_s --no-heading "$job")" = 3600.0 ]
	zn-queue cancel "$job"
}
