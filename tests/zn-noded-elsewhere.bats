#!/usr/bin/env bats
# What tests/zn-noded.bats says of the agent holds without cgroups and for an ordinary user, too.
bats_require_minimum_version 1.5.0

export ZN_TEST_KILLS=40

again() { bats --tap "$BATS_TEST_DIRNAME/zn-noded.bats"; }

@test "all of it holds without cgroups" {
	[ "$(id -u)" -eq 0 ] || skip "only root has cgroups to do without"
	ZN_TEST_CONFINE=subreaper run -0 again
}

@test "all of it holds for an ordinary user" {
	[ "$(id -u)" -eq 0 ] || skip "only root can become another user"
	runuser -u nobody -- test -r "$BATS_TEST_DIRNAME/zn-noded.bats" || skip "nobody can't read the tests"
	mkdir -m 777 "$BATS_TEST_TMPDIR/nobody"
	foreign=$BATS_TEST_TMPDIR/foreign
	echo root >"$foreign" && chmod 666 "$foreign" && chmod 711 "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/test 2>/dev/null || :
	run -0 runuser -u nobody -- env HOME="$BATS_TEST_TMPDIR/nobody" TMPDIR="$BATS_TEST_TMPDIR/nobody" B="$B" PATH="$PATH" \
		ZN_TEST_FOREIGN="$foreign" bats --tap "$BATS_TEST_DIRNAME/zn-noded.bats"
	[ "$(cat "$foreign")" = root ]
}
