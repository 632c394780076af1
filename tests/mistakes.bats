#!/usr/bin/env bats
# What somebody is told whose submission can't go well.
bats_require_minimum_version 1.5.0

setup() {
	export ZENITH_SPOOL=$BATS_TEST_TMPDIR/s ZENITH_LEASE_DIR=$BATS_TEST_TMPDIR/l ZENITH_MOCK_GPUS=0
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	[ ! -S "$ZENITH_SPOOL/sock" ] || zn-schedd --stop
}

@test "a misspelt script is no job" {
	for name in nigth.sh ./nigth.sh /no/such/nigth.sh; do
		run --separate-stderr -71 zn-submit "$name"
		[ "$stderr" = "zn-submit: there is neither a script nor a command '$name'" ]
	done
	[ ! -e "$ZENITH_SPOOL" ]
}

@test "a command without -- is found as the job will find it" {
	mkdir bin
	printf '#!/bin/sh\necho found\n' >bin/tool
	chmod +x bin/tool
	zn-submit --wait true
	PATH=$PATH:$PWD/bin zn-submit --wait tool
	zn-submit --wait --env PATH="$PWD/bin:$PATH" tool
	zn-submit --wait --chdir bin ./tool
}

@test "a script comes from a pipe or a file on standard input, and has to be text" {
	printf '#!/bin/sh\n#ZN --output out\necho "$1 $0"\n' >script
	zn-submit --wait - hello <script
	[[ $(cat out) == "hello "* ]]
	sed 's/hello/pipe/' script | zn-submit --wait - again
	[[ $(cat out) == "again "* ]]
	run --separate-stderr -65 zn-submit - < <(printf 'a\0b')
	[ "$stderr" = "zn-submit: the script '-' holds a NUL byte: it is no text" ]
	run --separate-stderr -71 zn-submit - < <(head -c 9000000 /dev/zero)
	[ "$stderr" = "zn-submit: can't read the script '-': it is larger than 8 MiB" ]
	run --separate-stderr -71 sh -c 'zn-submit - <&-'
	[[ $stderr == "zn-submit: can't read the script '-': "* ]]
}

@test "an output that can't be written is called what it was called" {
	mkdir -m 555 closed
	[ "$(id -u)" -ne 0 ] || skip "root may write anywhere"
	run --separate-stderr -77 zn-submit --chdir closed -- true
	[ "$stderr" = "zn-submit: output 'zn-%j.out': can't write in '$PWD/closed': Permission denied" ]
	run --separate-stderr -77 zn-submit --output closed/%j -- true
	[[ $stderr == "zn-submit: output 'closed/%j': "* ]]
}

@test "who follows a job into a full disk is told so, and the job goes on" {
	run --separate-stderr -125 sh -c 'zn-submit --follow -- echo hello >/dev/full'
	[ "$stderr" = "zn-submit: can't write to standard output: No space left on device" ] ||
		{ echo "$stderr"; false; }
	zn-queue wait 1
	for f in "" -f; do
		run --separate-stderr -71 sh -c "zn-queue log $f 1 >/dev/full"
		[ "$stderr" = "zn-queue: can't write to standard output: No space left on device" ]
	done
}

@test "a spool that can't be made is one sentence of each program, and names no log that is not there" {
	[ "$(id -u)" -ne 0 ] || skip "root may write anywhere"
	mkdir -m 555 home
	unset ZENITH_SPOOL
	run --separate-stderr -69 env -u XDG_STATE_HOME HOME="$PWD/home" zn-submit --wait -- true
	[ "${stderr_lines[0]}" = "zn-schedd: can't make directory '$PWD/home/.local': Permission denied" ]
	[ "${stderr_lines[1]}" = "zn-submit: zn-schedd did not start" ]
	ZENITH_SPOOL=$BATS_TEST_TMPDIR/s
}
