#!/usr/bin/env bats
# One spool for all users of a machine: who becomes whom, who sees what, and what can't be done to anybody.
#
# The users are there in a mount namespace of the test's own, where /etc/passwd and /etc/group are ours.
load queue

setup() {
	local n
	[ "$(id -u)" -eq 0 ] || skip "only root can become several users"
	dir=$(mktemp -d "${TMPDIR:-/tmp}/queue.XXXXXX")
	chmod 711 "$dir"
	cd "$dir" || return 1
	cp /etc/passwd /etc/group .
	cp -r /etc/pam.d /etc/security .
	for n in zenith:990 ann:4001 bob:4002 carl:4003; do
		echo "${n%:*}:x:${n#*:}:${n#*:}::$dir/${n%:*}:/bin/sh" >>passwd
		echo "${n%:*}:x:${n#*:}:" >>group
		mkdir -m 700 "${n%:*}" && chown "${n#*:}:${n#*:}" "${n%:*}"
	done
	echo "team:x:4100:ann,bob" >>group
	runuser -u nobody -- test -x "$B/zn-submit" || skip "other users can't run the programs in $B"
	unshare -m sh -c 'mount --bind passwd /etc/passwd && mount --bind group /etc/group &&
		mount --bind pam.d /etc/pam.d && mount --bind security /etc/security && touch there && exec sleep infinity' 3>&- &
	room=$!
	until_true eval '[ -e there ] || [ ! -e /proc/$room ]'
	[ -e there ] || skip "no mount namespace can be had"
	mkdir -m 1777 leases
	export ZENITH_SPOOL=$dir/spool ZENITH_LEASE_DIR=$dir/leases ZENITH_MOCK_GPUS=8 PATH=${B:-build}/tests:$PATH
	unset ZENITH_AUTOSTART ZENITH_JOB_ID ZENITH_CONFIG ZENITH_OUTPUT
}

teardown() {
	local pid
	[ -z "${room-}" ] || zn-schedd --stop 2>/dev/null || :
	for pid in $(daemons); do kill "$pid" && until_true ended "$pid"; done
	[ "$BATS_TEST_COMPLETED" ] || tail -n 30 spool/schedd.log spool/node/log 2>/dev/null
	! grep -hs 'Sanitizer\|runtime error' -A 40 spool/schedd.log spool/node/log >&2
	[ -z "${room-}" ] || kill "$room"
	[ ! -e ann/pid ] || ended "$(cat ann/pid)" || kill "$(cat ann/pid)"
	cd /
	rm -rf "$dir"
}

inside() { nsenter -m -t "$room" --wdns="$PWD" -- "$@"; }
as() { # USER COMMAND...
	local home=$dir/$1
	inside setpriv --reuid="$1" --regid="$1" --init-groups env -C "$home" HOME="$home" USER="$1" "${@:2}"
}
serve() { inside zn-schedd --system --detach "$@"; }
uid_of() { stat -c %u "/proc/$1"; }
key_of() { as "$1" zn-queue show -o json "$2" | sed -n 's/.*"key":"\([^"]*\)".*/\1/p'; }

# ---- who becomes whom --------------------------------------------------------------------------

@test "the agent is root, the scheduler is not, and each job is its submitter with his groups" {
	serve
	[ "$(uid_of "$(pid_of zn-noded)")" -eq 0 ]
	[ "$(uid_of "$(pid_of zn-schedd)")" -eq 990 ]
	[ "$(grep -c '^CapEff:[[:space:]]*0*$' "/proc/$(pid_of zn-schedd)/status")" -eq 1 ]
	as ann sh -c 'umask 027; zn-submit --wait -o csv --output out -- sh -c "id -u; id -Gn; umask; pwd; echo \$HOME"'
	[ "$(paste -sd' ' ann/out)" = "4001 ann team 0027 $dir/ann $dir/ann" ]
	[ "$(stat -c %U:%a ann/out)" = 4001:640 ] || [ "$(stat -c %u:%a ann/out)" = 4001:640 ]
}

@test "where PAM has a service for it, a job has the limits of its user's logins" {
	[ -e /etc/security/limits.conf ] || skip "no pam_limits here"
	grep -v '^#' "$BATS_TEST_DIRNAME/../systemd/zenith.pam" >pam.d/zenith
	printf 'ann soft nofile 123\nann hard nofile 321\nann hard cpu 77\n' >security/limits.d/test.conf
	serve
	limits='ulimit -Sn; ulimit -Hn; ulimit -Ht'
	for user in ann bob; do as $user zn-submit --wait --output out -- sh -c "$limits"; done
	[ "$(paste -sd' ' ann/out)" = "123 321 4620" ]
	[ "$(tail -n 1 bob/out)" = unlimited ]
	echo 'session required pam_deny.so' >pam.d/zenith
	id=$(as ann zn-submit -- true)
	run -1 as ann zn-queue wait "$id"
	[ "$(field reason "$id")" = "PAM's service 'zenith' refuses user 'ann'" ]
	rm pam.d/zenith
	as ann zn-submit --wait --output out -- sh -c "$limits"
	[ "$(tail -n 1 ann/out)" = unlimited ]
}

@test "a job has a session keyring of its own, not the one of who started the agent" {
	inside keyring add secret tell-nobody true || skip "no keyrings here"
	inside keyring add secret tell-nobody zn-schedd --system --detach
	id=$(as ann zn-submit --output out -- keyring read secret)
	run -1 as ann zn-queue wait "$id"
	[ "$(field exit_code "$id")" = 1 ]
	run ! grep tell-nobody ann/out
	as ann zn-submit --wait --output own -- keyring add secret hers keyring read secret
	[ "$(cat ann/own)" = hers ]
}

@test "two users get different GPUs" {
	serve
	a=$(as ann zn-submit -g 4 -- sh -c "until [ -e '$dir/go' ]; do sleep 0.05; done")
	b=$(as bob zn-submit -g 4 -- sh -c "until [ -e '$dir/go' ]; do sleep 0.05; done")
	await RUNNING "$a"; await RUNNING "$b"
	[ "$(zn-queue show -o json "$a" "$b" | grep -o '"gpus":\[[0-9,]*\]' | grep -o '[0-9]' | sort -u | wc -l)" -eq 8 ]
	c=$(as carl zn-submit -g 1 -- true)
	as carl zn-queue why -o table "$c" | grep "none of 8 is free"
	touch go
	as carl zn-queue wait "$c"
}

@test "the parts of a GPU are one user's, unless the configuration says that they may be several's" {
	export ZENITH_MOCK_GPUS=1
	serve
	half() { as "$1" zn-submit --output /dev/null --gpu-share 0.5 -- sleep 60; }
	half ann
	await RUNNING 1
	half bob
	half ann
	await RUNNING 3
	[ "$(as bob zn-queue why -o table 2 | head -n 1)" = "job 2 is QUEUED: no gpu has 0.5 left; all of them are taken" ]
	as ann zn-queue cancel --grace 0 3
	until_true is_state CANCELLED 3
	as bob zn-queue why -o table 2 | grep -q "  also: gpu 0 has enough left, but the jobs on it are another user's"
	run -1 as bob zn-submit --dry-run --gpu-share 0.5 -- true
	zn-schedd --stop
	echo $'[queue]\nshare_between_users = yes' >conf
	chmod 644 conf
	serve --config "$dir/conf"
	await RUNNING 2
	[ "$(state 1)" = RUNNING ]
	as bob zn-queue cancel --grace 0 2
	until_true is_state CANCELLED 2
	run -0 as bob zn-submit --dry-run --gpu-share 0.5 -- true
}

@test "root and system accounts submit nothing unless the configuration says so" {
	serve
	run -77 zn-submit -- true
	[[ $output == "zn-submit: jobs of 'root', a system account, don't run here "* ]]
	run -77 inside setpriv --reuid=990 --regid=990 --clear-groups env -C / zn-submit --output /dev/null -- true
	zn-schedd --stop
	kill "$(pid_of zn-noded)"; until_true eval '[ -z "$(pid_of zn-noded)" ]'
	printf '[queue]\nsystem_accounts = yes\n' >conf
	serve --config "$dir/conf"
	zn-submit --wait --output "$dir/out" -- id -u
	[ "$(cat out)" = 0 ]
}

@test "only root and the scheduler's user serve all, and never as root" {
	run -77 as ann zn-schedd --system
	[ "$output" = "zn-schedd: only root and 'zenith' can serve all users" ]
	run -77 as ann zn-noded --system --spool "$dir/ann"
	[ "$output" = "zn-noded: only root can run jobs of all users" ]
	run -64 inside zn-schedd --system --user root
	run -64 inside zn-schedd --system --user nobody-of-that-name
	[[ $output == *"there is no user 'nobody-of-that-name' to be: make one"* ]]
	[ ! -e spool ]
}

@test "started as its user, as a service does, it finds the agent that root started" {
	install -d -o 990 -g 990 -m 755 spool
	inside zn-noded --system --detach
	inside setpriv --reuid=zenith --regid=zenith --clear-groups zn-schedd --system --detach
	as ann zn-submit --wait --output out -- id -u
	[ "$(cat ann/out)" = 4001 ]
	[ "$(stat -c %u:%g:%a spool spool/journal spool/view spool/drop spool/node | paste -sd' ')" = \
		"990:990:755 990:990:700 990:990:755 990:990:3773 0:0:711" ]
}

# ---- who sees what ---------------------------------------------------------------------------------

@test "nobody learns another's command, arguments, environment, output or key" {
	serve
	id=$(SECRET=tell-nobody as ann zn-submit --output out -- sh -c "echo whisper; until [ -e '$dir/go' ]; do sleep 0.05; done")
	await RUNNING "$id"
	until_true grep -q whisper ann/out
	key=$(key_of ann "$id")
	[ "${#key}" -eq 32 ]
	as bob zn-queue show -o json "$id" >seen
	as bob zn-queue list -o json >>seen
	as bob zn-queue events -o json >>seen
	grep '"user":"ann"' seen
	run ! grep -E "$key|whisper|tell-nobody|$dir/ann" seen
	run -77 as bob zn-queue log "$id"
	run -1 as bob zn-queue show "key:$key"
	# nothing of it lies where another user can read
	as bob grep -rs -e whisper -e tell-nobody -e "$key" "$dir" /proc/[0-9]*/environ /proc/[0-9]*/fd 2>/dev/null >found || :
	[ ! -s found ]
	touch go
	await COMPLETED "$id"
	as bob zn-queue history -o json >seen
	grep '"user":"ann"' seen
	run ! grep -E "$key|whisper|tell-nobody" seen
}

@test "why a job failed tells only its user what it wanted to run, and where" {
	serve
	as ann mkdir gone gone-too
	as ann zn-submit --hold --output out -D gone -- true
	as ann zn-submit --output out -D . -- "$dir/ann/tool-it's"
	as ann zn-submit --hold --output gone-too/out -- true
	as ann rmdir gone gone-too
	as ann zn-queue release 1 3
	run -1 as ann zn-queue wait 1 2 3
	for what in list\ -a events history; do
		# shellcheck disable=SC2086 # a verb and its option
		as bob zn-queue $what -o json >seen
		grep '"reason":"command not found"' seen
		grep '"reason":"directory: No such file or directory"' seen
		grep '"reason":"output: No such file or directory"' seen
		run ! grep "$dir/ann" seen
	done
	run -0 as ann zn-queue show -o json 2
	[[ $output == *"\"reason\":\"command '$dir/ann/tool-it's' not found\""* ]]
}

@test "a key is its user's own: another one with it gets a job of his own" {
	serve
	a=$(as ann zn-submit --key same -- true)
	b=$(as bob zn-submit --key same -- true)
	[ "$a" != "$b" ]
	[ "$(as ann zn-submit --key same -- true)" = "$a" ]
}

# ---- who may do what ---------------------------------------------------------------------------------

@test "nobody steers another's job, operators do" {
	printf '[operators]\nusers = carl\n' >conf
	serve --config "$dir/conf"
	id=$(as ann zn-submit --output /dev/null -- sleep 600)
	await RUNNING "$id"
	for verb in cancel suspend requeue "modify --name x" hold; do
		# shellcheck disable=SC2086 # a verb and its option
		run -77 as bob zn-queue $verb "$id"
		[ "$output" = "zn-queue: job $id is not yours" ]
	done
	run -77 as bob zn-schedd --stop
	run -77 as ann zn-queue modify --priority 5 "$id"
	run -77 as ann zn-submit --priority 1 --output /dev/null -- true
	[ "$output" = "zn-submit: only an operator may ask a priority above 0" ]
	as carl zn-submit --priority 1 --output /dev/null -- true
	as carl zn-queue modify --priority 5 "$id"
	as ann zn-queue modify --time 1h "$id" # it had none
	as ann zn-queue modify --time 30m "$id"
	for more in 31m 0; do
		run -77 as ann zn-queue modify --time $more "$id"
		[ "$output" = "zn-queue: only an operator may give a job more time that has begun" ]
	done
	as carl zn-queue modify --time 31m "$id"
	as carl zn-queue cancel "$id"
	await CANCELLED "$id"
	[ "$(field reason "$id")" = "cancelled by carl" ]
}

@test "operators alone make and end reservations, and only who is named starts in one" {
	printf '[operators]\nusers = carl\n' >conf
	serve --config "$dir/conf"
	run -77 as ann zn-queue reserve course --until +1h --user ann
	[ "$output" = "zn-queue: only an operator may make or end reservations" ]
	as carl zn-queue reserve course --until +1h --user ann,carl --device 0-6
	run -77 as ann zn-queue unreserve course
	run -65 as bob zn-submit -t 1m --reservation course -- true
	[ "$output" = "zn-submit: reservation 'course' is for others: zn-queue reservations says for whom" ]
	as ann zn-submit --wait --output /dev/null -g 7 -t 1m --reservation course -- true
	id=$(as bob zn-submit --output /dev/null -g 2 -t 1m -- true)
	[ "$(field state "$id")" = QUEUED ]
	as carl zn-queue unreserve course
	as bob zn-queue wait "$id"
}

@test "an operator may adopt another's process, but run nothing as him; others may not even adopt it" {
	printf '[operators]\nusers = carl\n' >conf
	serve --config "$dir/conf"
	as ann sh -c 'echo $$ >pid; exec sleep 600' >/dev/null 2>&1 3>&- &
	until_true eval '[ -s ann/pid ] && [ "$(cat /proc/$(cat ann/pid)/comm)" = sleep ]'
	pid=$(cat ann/pid)
	ticks=$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f20)
	run -77 as bob zn-queue adopt "$pid"
	[ "$output" = "zn-queue: process $pid is not yours" ]
	as carl zn-submit --records 2>refused <<<"{\"adopt\":{\"pid\":$pid,\"start_ticks\":$ticks},\"directory\":\"/\",\"on_end\":\"touch $dir/ann/taken\"}" ||
		[ $? -eq 77 ]
	grep "process $pid is not yours: nothing can be run when it has ended" refused
	id=$(as carl zn-queue adopt "$pid")
	[ "$(field user "$id")" = ann ]
	as ann zn-queue cancel "$id"
	await CANCELLED "$id"
	[ ! -e ann/taken ]
}

@test "nobody can signal the scheduler, the agent, a shepherd or another's job" {
	serve
	id=$(as ann zn-submit --output /dev/null -- sleep 600)
	await RUNNING "$id"
	until_true pgrep -u 4001 -x sleep
	for pid in $(pid_of zn-schedd) $(pid_of zn-noded) $(pgrep -P "$(pid_of zn-noded)" "zn-job-$id") $(pgrep -u 4001 -x sleep); do
		run ! as bob kill -KILL "$pid"
	done
	run ! as ann kill -STOP "$(pgrep -P "$(pid_of zn-noded)" "zn-job-$id")"
	is_state RUNNING "$id"
}

@test "the agent hears nobody but root and its scheduler: no start, no steering, no forged acknowledgement" {
	serve
	id=$(as ann zn-submit --output /dev/null -- sleep 600)
	await RUNNING "$id"
	for user in ann bob; do
		run -1 as $user nodectl "$ZENITH_SPOOL" <<<$'!hello\n{"kind":"ack","seq":99999}'
		run ! as $user zn-noded --attach </dev/null
	done
	chmod 666 spool/node/sock # even so
	printf '!wait closed\n' | as bob timeout 10 "$B/tests/nodectl" "$ZENITH_SPOOL"
	is_state RUNNING "$id"
}

# ---- submissions that wait in files ----------------------------------------------------------------

@test "without a scheduler a submission waits in a file that only its user and the scheduler read" {
	serve; zn-schedd --stop
	run -0 as ann sh -c 'umask 077; zn-submit --key later --output out -- id -Gn'
	[ "$output" = key:later ]
	[ "$(stat -c %u:%g:%a spool/drop/4001 spool/drop/4001/later.zr | paste -sd' ')" = "4001:990:2770 4001:990:640" ]
	run ! as bob cat "$dir/spool/drop/4001/later.zr"
	serve
	as ann zn-queue wait key:later
	[ "$(cat ann/out)" = "ann team" ]
	[ ! -e spool/drop/4001/later.zr ]
}

@test "what others put into the drop directory is not taken" {
	serve; zn-schedd --stop
	as ann zn-submit --key mine --output out -- true
	drop=$dir/spool/drop
	# a victim's own file, linked, or carried into the directory of another: whoever submits is the directory's user
	run ! as bob ln "$drop/4001/mine.zr" "$dir/bob/link"
	as bob mkdir -m 2770 "$drop/4002"
	as bob ln -s /etc/shadow "$drop/4002/link.zr"
	as bob mkfifo "$drop/4002/pipe.zr"
	as bob truncate -s 1T "$drop/4002/huge.zr"
	as bob mkdir "$drop/4002/dir.zr"
	as bob sh -c "head -c 5000 /dev/urandom >$drop/4002/noise.zr"
	cp "$drop/4001/mine.zr" "$drop/4002/others.zr" && chown 4001:990 "$drop/4002/others.zr"
	cp "$drop/4001/mine.zr" "$drop/4002/twice.zr" && chown 4002:990 "$drop/4002/twice.zr" && ln "$drop/4002/twice.zr" bob/kept
	as bob mkdir "$drop/4003" # carl's number
	as bob mkdir -m 777 "$drop/0"
	as bob ln -s "$dir/ann" "$drop/990"
	serve
	as ann zn-queue wait key:mine
	until_true eval '[ "$(ls "$drop/4002" | grep -c refused)" -ge 5 ]'
	as bob zn-queue history -o json | grep -c '"user":"ann"' | grep -x 1
	[ "$(zn-queue list -a -o json | grep -c '"kind":"job"')" -eq 1 ]
	zn-schedd --stop
	as carl zn-submit --key his --output /dev/null -- true # the squatter is out of his way
	serve
	as carl zn-queue wait key:his
}

@test "who takes another's number for good is out of his way all the same" {
	serve; zn-schedd --stop
	for n in 4003 4003.not-his; do
		as bob mkdir "$dir/spool/drop/$n"
		as bob touch "$dir/spool/drop/$n/file"
	done
	serve; zn-schedd --stop
	as carl zn-submit --key his --output /dev/null -- true
	serve
	as carl zn-queue wait key:his
}

@test "a task that is held up before it begins is given up after half a minute, and its GPUs are free" {
	[ "$(find /lib/ /usr/lib -name pam_exec.so)" ] || skip "no pam_exec here"
	echo 'session required pam_exec.so quiet /bin/sleep 600' >pam.d/zenith
	serve
	id=$(as ann zn-submit -g 8 --output out -- true)
	run -1 as ann timeout 60 zn-queue wait "$id"
	[ "$(field reason "$id")" = "the task did not begin within 30 s: something holds it up" ]
	rm pam.d/zenith
	as bob zn-submit -g 8 --wait --output out -- true
	run ! pgrep -xf '/bin/sleep 600'
}

@test "an interactive job is its user's, on his terminal" {
	serve
	run "$BATS_TEST_DIRNAME/tools/on-a-terminal" -- nsenter -m -t "$room" --wdns="$PWD" -- setpriv --reuid=ann --regid=ann \
		--init-groups env -C "$dir/ann" HOME="$dir/ann" zn-submit --pty -- sh -c 'id -un; tty; exit 7'
	[[ $output == *ann*/dev/pts/*"status 7"* ]]
}

# ---- what can't be done to anybody -------------------------------------------------------------------

@test "a user with ten thousand connections, one that reads nothing and a gigabyte of request keep nobody else out" {
	serve
	mkfifo stay
	exec 8<>stay
	for _ in 1 2 3; do
		(ulimit -n 4096; as bob hostile "$ZENITH_SPOOL/sock" crowd 3400) <stay >>crowd 2>&1 8>&- 3>&- &
	done
	until_true eval '[ "$(grep -c open crowd)" -eq 3 ]'
	as ann zn-submit --wait --output /dev/null -- true
	pid=$(pid_of zn-schedd) # bob has a quarter of the connections that there can be
	[ "$(ls "/proc/$pid/fd" | wc -l)" -lt $(($(awk '/open files/ { print $4 }' "/proc/$pid/limits") / 2)) ]
	exec 8>&-
	until_true eval '! pgrep -u 4002 -x hostile'
	until_true eval 'as bob zn-submit --output /dev/null -- true'
	run -0 as bob hostile "$ZENITH_SPOOL/sock" huge 1000000000 </dev/null
	[ "${output#stopped after }" -lt $((64 << 20)) ]
	as ann zn-submit --wait --output /dev/null -- true
}

@test "whoever has a range of user numbers is one user when connections are counted" {
	serve
	mkfifo stay
	exec 8<>stay
	for n in 1 2 3 4 5; do
		(ulimit -n 4096; setpriv --reuid $((70000 + n)) --regid 70000 --clear-groups \
			hostile "$ZENITH_SPOOL/sock" crowd 3400) <stay >>crowd 2>&1 8>&- 3>&- &
	done
	until_true eval '[ "$(grep -c open crowd)" -eq 5 ]'
	as ann zn-submit --wait --output /dev/null -- true
	pid=$(pid_of zn-schedd)
	[ "$(ls "/proc/$pid/fd" | wc -l)" -lt $(($(awk '/open files/ { print $4 }' "/proc/$pid/limits") / 2)) ]
	exec 8>&-
}

@test "an output through /proc/self/fd reaches nothing of root's" {
	serve
	before=$(cksum <spool/node/lock)
	for n in 3 4 5 6 7 8 9 10 11 12; do
		id=$(printf '{"command":"echo","arguments":["written"],"directory":"/","output":"/proc/self/fd/%s"}\n' "$n" |
			as ann zn-submit --records)
		as ann zn-queue wait "$id" || : # one of them is a /dev/null of its own
	done
	run ! grep -r written spool/node
	[ "$(cksum <spool/node/lock)" = "$before" ]
}
