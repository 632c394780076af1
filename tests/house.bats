#!/usr/bin/env bats
# The house's rules, for whatever programs there are: help, manual and completion agree, errors look alike.
bats_require_minimum_version 1.5.0

setup() {
	top=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
	cd "$top" || return
	programs=()
	for c in cmd/*.c; do c=${c#cmd/}; programs+=("${c%.c}"); done
}

page() { ls man/"$1".[1578]; }

# verb, key, name, argument, help of every option but those that zenith(7) documents for all.
options() {
	"$1" --complete=options | awk -F '\t' '$3 != "" && $3 !~ /^(help|version|complete)$/'
}

verbs() { "$1" --complete=options | awk -F '\t' '$1 != "" && $3 == "" { print $1 }'; }

# Programs that become another say 125 about themselves.
usage_code() { case $1 in zn-pin) echo 125 ;; *) echo 64 ;; esac; }

# The options that a page's lists explain, "-c" and "--cpus", one a line.
documented() {
	awk '/^\.It / { for (i = 2; i < NF; i++) if ($i == "Fl") print "-" $(i + 1) }' "$(page "$1")" | sort -u
}

@test "no room reaches over its neighbours, and zenith.h compiles alone in C and in C++" {
	scripts/check-layers
}

@test "the manual pages pass mandoc's lint" {
	for f in man/*.[1578]; do mandoc -T lint -W warning "$f"; done
}

@test "every program answers --help and -h on stdout, in 80 columns" {
	for p in "${programs[@]}"; do
		run --separate-stderr -0 "$p" --help
		[[ $output == "usage: $p"* ]] || { echo "$p: $output"; false; }
		[ -z "$stderr" ]
		[ "$("$p" -h)" = "$output" ]
		long=$(awk 'length > 80' <<<"$output")
		[ -z "$long" ] || { echo "$p: $long"; false; }
		for v in $(verbs "$p"); do
			run --separate-stderr -0 "$p" "$v" --help
			[[ $output == "usage: $p $v"* ]] || { echo "$p $v: $output"; false; }
		done
	done
}

@test "every program says its version" {
	version=$(sed -n 's/^VERSION *:= *//p' Makefile)
	for p in "${programs[@]}"; do
		run --separate-stderr -0 "$p" --version
		[ "$output" = "$p (Zenith) $version" ]
	done
}

@test "an unknown option is a sentence and the synopsis on stderr, and nothing on stdout" {
	for p in "${programs[@]}"; do
		for v in "" $(verbs "$p"); do
			# shellcheck disable=SC2086
			run --separate-stderr -"$(usage_code "$p")" "$p" $v --no-such-option
			[ -z "$output" ]
			[ "${stderr_lines[0]}" = "$p: unknown option '--no-such-option'" ]
			[[ ${stderr_lines[1]} == "usage: $p"* ]]
			[ "${#stderr_lines[@]}" -eq 2 ]
		done
	done
}

@test "an output that does not exist is a usage error, from the option and from the environment" {
	for p in zn-fmt zn-topo; do
		[ -e "cmd/$p.c" ] || continue
		run --separate-stderr -64 "$p" -o xml </dev/null
		[ "${stderr_lines[0]}" = "$p: option '--output': 'xml' is not one of table, json, csv, msgpack" ]
		ZENITH_OUTPUT=xml run --separate-stderr -64 "$p" </dev/null
		[[ ${stderr_lines[0]} == "$p: ZENITH_OUTPUT: "*"'xml'"* ]]
		[ -z "$output" ]
	done
}

@test "every program fails when its output does not fit on the disk" {
	for p in "${programs[@]}"; do
		run --separate-stderr -71 bash -c '"$1" --help >/dev/full' bash "$p"
		[ "$stderr" = "$p: can't write to standard output: No space left on device" ]
	done
}

@test "every program ends when nobody reads its output" {
	for p in "${programs[@]}"; do
		run bash -c '"$1" --help | true; exit "${PIPESTATUS[0]}"' bash "$p"
		# Killed by SIGPIPE, or faster than the reader went away.
		[ "$status" -eq 141 ] || [ "$status" -eq 0 ]
	done
}

@test "every program has a manual page" {
	for p in "${programs[@]}"; do page "$p"; done
}

@test "a manual page explains every option of its program" {
	for p in "${programs[@]}"; do
		documented "$p" >"$BATS_TEST_TMPDIR/page"
		options "$p" | awk -F '\t' '{ print "--" $3; if ($2 != "") print "-" $2 }' | sort -u \
			>"$BATS_TEST_TMPDIR/table"
		left=$(comm -13 "$BATS_TEST_TMPDIR/page" "$BATS_TEST_TMPDIR/table")
		[ -z "$left" ] || { echo "$p does not explain" $left; false; }
	done
}

@test "a manual page explains no option that its program does not have" {
	for p in "${programs[@]}"; do
		documented "$p" >"$BATS_TEST_TMPDIR/page"
		"$p" --complete=options | awk -F '\t' '{ print "--" $3; if ($2 != "") print "-" $2 }' | sort -u \
			>"$BATS_TEST_TMPDIR/table"
		left=$(comm -23 "$BATS_TEST_TMPDIR/page" "$BATS_TEST_TMPDIR/table")
		[ -z "$left" ] || { echo "$p explains" $left; false; }
	done
}

@test "a synopsis names no option that its page does not explain" {
	for f in man/*.[18]; do
		awk '/^\.Sh/ { on = $0 == ".Sh SYNOPSIS"; next } on { for (i = 1; i < NF; i++) if ($i == "Fl" && $(i + 1) ~ /^-?[a-z]/)
			print "-" $(i + 1) }' "$f" | sort -u >"$BATS_TEST_TMPDIR/synopsis"
		p=${f##*/}
		left=$({ documented "${p%.?}"; printf '%s\n' -h --help --version --complete; } | sort | comm -13 - "$BATS_TEST_TMPDIR/synopsis")
		[ -z "$left" ] || { echo "$f: $left"; false; }
	done
}

# What a program (and verb) that writes records calls their keys; nothing when it wants operands first.
keys() {
	ZENITH_SPOOL=$BATS_TEST_TMPDIR/none timeout 20 "$@" --fields=help </dev/null 2>/dev/null |
		awk '/^  [a-z]/ { sub(/.*\./, "", $1); print $1 }'
}

@test "a manual page names every key of the records that its program writes" {
	for p in "${programs[@]}"; do
		[ "$p" = zn-fmt ] && continue # writes the records of others
		options "$p" | cut -f 3 | grep -qx fields || continue
		for v in "" $(verbs "$p"); do
			# shellcheck disable=SC2086
			for k in $(keys "$p" $v | sort -u); do
				grep -qw -e "$k" "$(page "$p")" || { echo "$p $v: $k"; false; }
			done
		done
	done
}

@test "a manual page explains every verb of its program" {
	for p in "${programs[@]}"; do
		for v in $(verbs "$p"); do
			grep -qE "^\.(It|Ss)( Xo)? (Cm |Ic )?$v( |\$)" "$(page "$p")" ||
				{ echo "$p $v"; false; }
		done
	done
}

@test "zenith(7) explains the options that every program has" {
	for o in help version complete; do grep -q "^\.It .*Fl -$o" man/zenith.7; done
}

@test "zenith(7) names every program" {
	for p in "${programs[@]}"; do grep -q "^\.It Xr $p" man/zenith.7 || { echo "$p"; false; }; done
}

@test "the exit codes of zenith(7) are those of lib/cli/exit.h" {
	grep -oE 'ZN_EXIT_[A-Z_]+ = [0-9]+' lib/cli/exit.h | sed 's/.*= //' >"$BATS_TEST_TMPDIR/header"
	awk '/^\.Sh/ { on = $0 == ".Sh EXIT STATUS" } on && /^\.It / { for (i = 2; i <= NF; i++)
		if ($i ~ /^[0-9]+$/) print $i }' man/zenith.7 >"$BATS_TEST_TMPDIR/page"
	[ -s "$BATS_TEST_TMPDIR/header" ]
	diff "$BATS_TEST_TMPDIR/header" "$BATS_TEST_TMPDIR/page"
}

@test "a manual page lists no exit code that zenith(7) does not know" {
	for p in "${programs[@]}"; do
		awk '/^\.Sh/ { on = $0 == ".Sh EXIT STATUS" } on && /^\.It [0-9]+$/ { print $2 }' "$(page "$p")" |
			while read -r code; do
				grep -q "= $code," lib/cli/exit.h || { echo "$p: $code"; exit 1; }
			done
	done
}

@test "the committed completions are fresh: make completions changes nothing" {
	for p in "${programs[@]}"; do
		"$p" --complete=bash | diff "completions/$p.bash" -
		"$p" --complete=zsh | diff "completions/_$p" -
		"$p" --complete=fish | diff "completions/$p.fish" -
	done
	[ "$(ls completions | wc -l)" -eq $((3 * ${#programs[@]})) ]
}

@test "fish completes verbs, options and their values by them" {
	command -v fish >/dev/null || skip "there is no fish"
	offers() { fish --no-config -c "source completions/${1%% *}.fish; complete -C '$1'" | cut -f1; }
	offers "zn-queue canc" | grep -qx cancel
	offers "zn-queue modify --pri" | grep -qx -- --priority
	offers "zn-queue list --state RUN" | grep -qx RUNNING
	offers "zn-submit --gp" | grep -qx -- --gpus
	offers "zn-topo --output js" | grep -qx json
}

@test "the shells can read their completions" {
	for p in "${programs[@]}"; do
		bash -n "completions/$p.bash"
		if command -v zsh >/dev/null; then zsh -n "completions/_$p"; fi
		if command -v fish >/dev/null; then fish --no-execute "completions/$p.fish"; fi
	done
}

# The words that bash would offer for the last of these.
offered() {
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
	# shellcheck disable=SC1090
	. "completions/$1.bash"
	"_${1//[^a-z0-9]/_}"
	printf '%s\n' "${COMPREPLY[@]}"
}

@test "bash completes every long option, and the value of one that takes words" {
	for p in "${programs[@]}"; do
		offered "$p" -- >"$BATS_TEST_TMPDIR/offered"
		"$p" --complete=options | awk -F '\t' '$1 == "" && $3 != "" { print "--" $3 }' |
			while read -r o; do grep -qxe "$o" "$BATS_TEST_TMPDIR/offered" || { echo "$p $o"; exit 1; }; done
		[ "$(offered "$p" --complete z)" = zsh ]
		[ "$(offered "$p" --complete = f)" = fish ]
	done
}

@test "bash completes verbs, and the options of a verb behind options of the program" {
	for p in "${programs[@]}"; do
		[ -n "$(verbs "$p")" ] || continue
		diff <(verbs "$p") <(offered "$p" "")
		for v in $(verbs "$p"); do
			"$p" --complete=options | awk -F '\t' -v v="$v" '$1 == v && $3 != "" { print "--" $3 }' |
				while read -r o; do
					offered "$p" --complete bash "$v" "$o" | grep -qxe "$o" ||
						{ echo "$p $v $o"; exit 1; }
				done
		done
	done
}

@test "bash offers no word twice" {
	for p in "${programs[@]}"; do
		for v in "" $(verbs "$p"); do
			# shellcheck disable=SC2086 # no verb is no word
			twice=$(offered "$p" $v - | sort | uniq -d)
			[ -z "$twice" ] || { echo "$p $v: $twice"; false; }
		done
	done
}

@test "every page of ours that a manual page refers to is there" {
	awk '/^\.(It )?Xr (zn-|zenith)/ { i = $1 == ".It" ? 3 : 2; print $i "." $(i + 1) }' man/*.[1578] | sort -u |
		while read -r f; do [ -e "man/$f" ] || { echo "$f"; exit 1; }; done
}

@test "the units, the account and the directories that are installed are what systemd takes" {
	command -v systemd-analyze >/dev/null || skip "there is no systemd here"
	cd "$BATS_TEST_DIRNAME/.."
	root=$BATS_TEST_TMPDIR/root
	make -s install B="$B" DESTDIR="$root" PREFIX=/usr
	mkdir -p "$root/etc"
	[ -z "$(find "$root" -name '*.wants')" ] # nobody is enabled
	for u in zn-noded zn-schedd; do
		sed "s#/usr/bin/#$B/#; /^Documentation/d" "$root/usr/lib/systemd/system/$u.service" >"$BATS_TEST_TMPDIR/$u.service"
	done
	run -0 systemd-analyze verify "$BATS_TEST_TMPDIR"/zn-{noded,schedd}.service
	[ -z "$output" ]
	printf 'root:x:0:0::/root:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\n' >"$root/etc/group"
	[ "$(id -u)" -eq 0 ] || skip "only root makes accounts"
	systemd-sysusers --root="$root"
	grep -q '^zenith:x:[0-9]*:[0-9]*:.*nologin$' "$root/etc/passwd"
	systemd-tmpfiles --root="$root" --create --prefix=/var/spool/zenith --prefix=/run/lock/zenith
	[ "$(stat -c %u:%a "$root/var/spool/zenith" "$root/run/lock/zenith" | paste -sd' ')" = \
		"$(sed -n 's/^zenith:x:\([0-9]*\).*/\1/p' "$root/etc/passwd"):755 0:1777" ]
}

@test "make install brings programs, pages, completions, and zenith.h but no other header" {
	at=$BATS_TEST_TMPDIR/root/usr
	make -s install B="$B" DESTDIR="$BATS_TEST_TMPDIR/root" PREFIX=/usr
	[ "$(cd "$at/include" && find . -type f)" = ./zenith.h ]
	for p in "${programs[@]}"; do
		[ -x "$at/bin/$p" ]
		ls "$at"/share/man/man?/"$p".?
		[ -e "$at/share/bash-completion/completions/$p" ]
		[ -e "$at/share/zsh/site-functions/_$p" ]
		[ -e "$at/share/fish/vendor_completions.d/$p.fish" ]
	done
}

@test "make uninstall removes all that make install brought, and nothing else" {
	root=$BATS_TEST_TMPDIR/root
	make -s install B="$B" DESTDIR="$root" PREFIX=/usr
	touch "$root/usr/bin/other"
	make -s uninstall B="$B" DESTDIR="$root" PREFIX=/usr
	[ "$(cd "$root" && find . -type f)" = ./usr/bin/other ]
}

@test "a stranger's program is built by what zenith.pc says" {
	if [ -n "$SANITIZED" ]; then skip "a library with sanitizers needs their flags"; fi
	make -s install B="$B" DESTDIR="$BATS_TEST_TMPDIR/root" PREFIX=/usr
	# The queue and the machine: what they use of other libraries has to be named too.
	printf '%s\n' '#include <stdio.h>' '#include <zenith.h>' \
		'int main(int argc, char **argv)' '{' 'void *p; size_t n;' \
		'if (argc > 1) return zn_machine_records(argv[1], &p, &n, NULL) || zn_queue_records(NULL, &p, &n, NULL);' \
		'return puts(zn_version()) < 0;' '}' >"$BATS_TEST_TMPDIR/it.c"
	export PKG_CONFIG_PATH=$BATS_TEST_TMPDIR/root/usr/lib/pkgconfig
	[ "$(pkg-config --variable=prefix zenith)" = /usr ]
	read -ra flags < <(pkg-config --define-variable=prefix="$BATS_TEST_TMPDIR/root/usr" --cflags --libs zenith)
	cc -o "$BATS_TEST_TMPDIR/it" "$BATS_TEST_TMPDIR/it.c" "${flags[@]}"
	[ "$("$BATS_TEST_TMPDIR/it")" = "$(pkg-config --modversion zenith)" ]
}

@test "what scripts/fuzz runs starts, and takes files that were not made for it" {
	[ -x "$B/tests/fuzz/records" ] || skip "this build has no fuzzer: clang with ASan brings it"
	cd "$BATS_TEST_DIRNAME/.." || return 1
	tar -cf "$BATS_TEST_TMPDIR/tar" man
	for target in tests/fuzz/*.c; do
		target=${target##*/}
		target=${target%.c}
		run -0 "$B/tests/fuzz/$target" "$BATS_TEST_TMPDIR/tar" README.md completions/*.bash man/*
		grep -q "^#   $target " scripts/fuzz
	done
}
