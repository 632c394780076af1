#!/usr/bin/env bats
# What is run, and whom mail is sent to, when a job has ended.
load queue.bash

say='echo "$ZENITH_JOB_ID $ZENITH_JOB_NAME $ZENITH_JOB_USER $ZENITH_JOB_STATE ${ZENITH_JOB_EXIT_CODE-none} $ZENITH_JOB_REASON" >>told'
told() { until_true has_lines "$1" told; sort told; }
# A sendmail that keeps its letters, the only program in a PATH of its own but for what a test needs.
with_mail() {
	mkdir -p bin
	printf '#!/bin/sh\nt=$(mktemp "%s/letter.XXXXXX"); { echo "$@"; cat; } >$t.new; mv $t.new $t.txt\n' "$dir" >bin/sendmail
	chmod +x bin/sendmail
	PATH=$dir/bin:$PATH
}
letters() { [ "$(find . -name 'letter.*.txt' | wc -l)" -ge "$1" ]; }
can_mail() { PATH=$PATH:/usr/sbin:/usr/lib command -v sendmail mail >/dev/null; }

@test "--on-end runs in the job's directory, with its environment and its outcome, however it ended" {
	mkdir sub
	zn-submit -D sub --env MINE=1 -n 'a b' --on-end "$say; echo \$MINE >>told" --output /dev/null -- sh -c 'exit 3'
	(cd sub && until_true has_lines 2 told)
	[ "$(cat sub/told)" = "1 a b $(id -un) FAILED 3 exit code 3"$'\n1' ]
	[ "$(zn-submit --output /dev/null --on-end "$say" -- true)" = 3 ]
	[ "$(told 1)" = "3 true $(id -un) COMPLETED 0 " ]
	[ "$(zn-submit --hold --on-end "$say" -- true)" = 5 ]
	zn-queue cancel 5
	[ "$(told 2 | tail -n 1)" = "5 true $(id -un) CANCELLED none cancelled" ]
}

@test "it is a job of its own: listed, before all others, and a failure of it can be seen" {
	zn-submit --output /dev/null --on-end 'exit 4' -- true
	timeout 30 zn-queue wait 1
	until_true eval '[ "$(state 2 2>/dev/null)" = FAILED ]'
	[ "$(field name 2)" = "end of 1" ] && [ "$(field exit_code 2)" = 4 ] && [ "$(field priority 2)" = 2147483647 ]
	[ "$(field key 2)" = end-of-1 ]
	[ "$(zn-queue history -o json | grep -c '')" -eq 2 ] # and nothing at the end of that one
}

@test "a job that ended while nobody scheduled has its command run once" {
	zn-submit --output /dev/null --on-end "$say" -- sh -c "until [ -e '$dir/go' ]; do sleep 0.02; done; echo x >'$dir/finished'"
	await RUNNING 1
	kill -KILL "$(pid_of zn-schedd)"
	touch go
	until_true exists finished
	timeout 30 zn-queue wait 1
	told 1
	kill -KILL "$(pid_of zn-schedd)"
	zn-submit --wait --output /dev/null -- true
	[ "$(told 1)" = "1 sh $(id -un) COMPLETED 0 " ]
	[ "$(zn-queue list -a -o json | grep -c '"key":"end-of-1"')" -eq 1 ]
}

@test "a job that is lost has its command run, too" {
	zn-submit --output /dev/null --on-end "$say" -- sleep 300
	await RUNNING 1
	kill -KILL "$(pid_of zn-noded | head -n 1)"
	[ "$(told 1)" = "1 sleep $(id -un) FAILED none lost: the agent died" ]
}

@test "--mail sends a letter at the end, --mail-on fail only at a bad one" {
	with_mail
	zn-submit --output /dev/null -n night --mail ann@site.example -- sh -c 'exit 3'
	until_true letters 1
	cat letter.*.txt
	[ "$(sed -n 1p letter.*.txt)" = "-t -i" ]
	grep -qx 'To: ann@site.example' letter.*.txt
	grep -qx 'Subject: job 1, night: FAILED' letter.*.txt
	grep -qx 'exit code 3' letter.*.txt
	rm letter.*
	zn-submit --output /dev/null --mail ann --mail-on fail --on-end 'touch over' -- true
	until_true exists over
	run ! letters 1
	zn-submit --output /dev/null --mail ann --mail-on fail -- false
	until_true letters 1
}

@test "where no mail can be sent it is refused, and so is what is no address" {
	run --separate-stderr -65 zn-submit --mail "a b" -- true
	[ "$stderr" = "zn-submit: 'a b' is no address" ]
	run --separate-stderr -65 zn-submit --mail "x'; touch there #" -- true
	run --separate-stderr -65 zn-submit --mail -t -- true
	run --separate-stderr -64 zn-submit --mail-on fail -- true
	[ ! -e there ]
	can_mail && skip "this machine can send mail"
	run --separate-stderr -71 zn-submit --mail ann -- true
	[ "$stderr" = "zn-submit: this machine can't send mail: there is neither sendmail nor mail" ]
}

@test "#SBATCH lines about mail are understood where it can be sent, and named as ignored where not" {
	printf '#!/bin/sh\n#SBATCH --mail-type=BEGIN,FAIL --mail-user=ann@site\nexit 1\n' >job.sh
	if ! can_mail; then
		run --separate-stderr -0 zn-submit --output /dev/null job.sh
		[ "$stderr" = "zn-submit: of the #SBATCH lines, ignored: --mail-type, --mail-user" ]
	fi
	with_mail
	run --separate-stderr -0 zn-submit --output /dev/null job.sh
	[ "$stderr" = "zn-submit: of the #SBATCH lines, ignored: --mail-type=BEGIN" ]
	until_true letters 1
	grep -qx 'To: ann@site' letter.*.txt
}

# Fills the journal until a snapshot leaves out what is older than a second, and starts the next zn-schedd.
forget_and_restart() {
	{ echo '#!/bin/sh'; head -c 6000000 /dev/zero | tr '\0' '#'; } >big
	for _ in 1 2 3 4 5 6; do zn-submit --output /dev/null big >>big.ids; done
	xargs zn-queue wait <big.ids
	until_true compgen -G "$ZENITH_SPOOL/journal/*.zs" >snapshot
	zn-schedd --stop
	zn-submit --output /dev/null --wait -- true
}

@test "of an array, too, the end is told once, when its elements and what was run then are forgotten" {
	export ZENITH_CONFIG=$dir/conf
	printf '[queue]\nhistory = 1s\n' >conf
	zn-submit --output /dev/null --array 0-1 --on-end "$say" -- true
	told 1
	zn-queue wait key:end-of-1
	sleep 1.2
	forget_and_restart
	[ "$(told 1 | wc -l)" -eq 1 ]
}
