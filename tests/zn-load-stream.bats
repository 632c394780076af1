#!/usr/bin/env bats
# zn-load: what can only be read from its beginning: packed archives, FIFOs and stdin, good and bad.
bats_require_minimum_version 1.5.0

setup() {
	dir=$(mktemp -d "${TMPDIR:-/tmp}/flow.XXXXXX")
	cd "$dir" || return 1
	unset RANK WORLD_SIZE
}
teardown() { cd /; rm -rf "$dir"; }

samples() { # LAST: files 1.txt and 1.cls up to LAST in data/, and all of them in a.tar
	mkdir -p data
	python3 - "$1" <<-'EOF'
		import random, sys, tarfile
		random.seed(1)
		with tarfile.open("a.tar", "w", format=tarfile.GNU_FORMAT) as t:
		    for i in range(1, int(sys.argv[1]) + 1):
		        for field, data in (("txt", random.randbytes(i * 37 % 9000 + 1)), ("cls", b"%d" % i)):
		            open("data/%d.%s" % (i, field), "wb").write(data)
		            t.add("data/%d.%s" % (i, field))
	EOF
}
# What comes out, "KEY FIELD=SHA ..." a line, and "loss KEY REASON".
shown() {
	zn-fmt -o json | python3 -c '
import base64, hashlib, json, sys
for line in sys.stdin:
    r = json.loads(line)
    if r["kind"] == "loss":
        print("loss", r.get("key", "?"), r["reason"])
        continue
    for s in r["samples"]:
        print(s["key"], *(k.removesuffix("@base64") + "=" + hashlib.sha256(base64.b64decode(v)).hexdigest()[:16] for k, v in s.items() if k != "key"))'
}
has_libarchive() {
	! echo "no archive" | zn-load - 2>&1 | grep -q "this was built without it"
}
flip() { # FILE OFFSET: the other value of one bit
	python3 -c '
import sys
b = bytearray(open(sys.argv[1], "rb").read()); b[int(sys.argv[2])] ^= 1; open(sys.argv[1], "wb").write(b)' "$@"
}

@test "packed archives, FIFOs and stdin give what the tar gives, mixed or not, to the byte" {
	samples 100
	gzip -k a.tar
	cp a.tar.gz a.tgz
	packed=(a.tar.gz a.tgz)
	streams=(a.tar a.tar.gz)
	if has_libarchive; then
		bzip2 -k a.tar && packed+=(a.tar.bz2)
		xz -0 -k a.tar && packed+=(a.tar.xz)
		zstd -q a.tar && packed+=(a.tar.zst)
		packed+=(a.zip stored.zip a.cpio)
		streams+=(a.zip)
	fi
	python3 -c '
import zipfile
for name, how in (("a.zip", zipfile.ZIP_DEFLATED), ("stored.zip", zipfile.ZIP_STORED)):
    with zipfile.ZipFile(name, "w", how) as z:
        for i in range(1, 101):
            for field in ("txt", "cls"): z.write("data/%d.%s" % (i, field))
def entry(n, d):
    n = n.encode() + b"\0"
    h = b"070701" + b"".join(b"%08x" % v for v in (1, 0o100644, 0, 0, 1, 0, len(d), 0, 0, 0, 0, len(n), 0))
    return h + n + b"\0" * (-(len(h) + len(n)) % 4) + d + b"\0" * (-len(d) % 4)
with open("a.cpio", "wb") as f:
    for i in range(1, 101):
        for field in ("txt", "cls"): f.write(entry("data/%d.%s" % (i, field), open("data/%d.%s" % (i, field), "rb").read()))
    f.write(entry("TRAILER!!!", b""))'
	mkfifo fifo
	for how in "-b 7" "-b 7 --shuffle 30 --seed 5" "-b 9 --shuffle 1000"; do
		# shellcheck disable=SC2086
		zn-load $how a.tar | shown >want
		[ "$(wc -l <want)" -eq 100 ]
		for source in "${packed[@]}"; do
			# shellcheck disable=SC2086
			zn-load $how "$source" | shown | cmp want -
		done
		for source in "${streams[@]}"; do
			# shellcheck disable=SC2086
			cat "$source" | zn-load $how - | shown | cmp want -
			# shellcheck disable=SC2086
			zn-load $how - <"$source" | shown | cmp want -
		done
		cat a.tar.gz >fifo &
		# shellcheck disable=SC2086
		zn-load $how fifo | shown | cmp want -
	done
	cmp <(zn-load -e 2 --shuffle 30 a.tar) <(zn-load -e 2 --shuffle 30 a.tgz)
	cmp <(zn-load --fields cls a.tar) <(zn-load --fields cls "${packed[-1]}")
	zn-load index a.tgz 2>&1 | grep -q "a.tgz: it can only be read from its beginning, and has no index"
}

@test "streams, shards and files of a directory come together, and streams that follow each other are one" {
	samples 10
	mkdir all && gzip -c a.tar >all/b.tar.gz && cp a.tar all && cp data/7.* all
	run shown < <(zn-load all)
	[ "${#lines[@]}" -eq 21 ]
	[[ ${lines[20]} == "7 cls="*" txt="* ]]
	[ "$(cat a.tar a.tar | zn-load - | shown | wc -l)" -eq 20 ]
	[ "$(cat all/b.tar.gz all/b.tar.gz | zn-load - | shown | wc -l)" -eq 20 ]
	mkdir one && cp data/1.txt "one/äöü.txt"
	tar -czf umlaut.tar.gz one
	LC_ALL=C zn-load umlaut.tar.gz | shown | grep -q '^one/äöü txt='
	has_libarchive || return 0
	python3 -c 'import zipfile; z = zipfile.ZipFile("umlaut.zip", "w"); z.write("one/äöü.txt"); z.close()'
	cmp <(LC_ALL=C zn-load umlaut.tar.gz | shown) <(LC_ALL=C zn-load umlaut.zip | shown)
}

@test "ranks share a stream sample by sample, as many batches each" {
	samples 50
	gzip a.tar
	for shuffle in 0 20; do
		for r in 0 1 2; do zn-load -b 4 --shuffle $shuffle --rank $r --world 3 a.tar.gz >"rank$r"; done
		cmp <(zn-load a.tar.gz | shown | sort) <(cat rank? | shown | sort)
		for r in 0 1 2; do [ "$(zn-fmt --fields seq,next -o csv --no-heading <"rank$r" | tail -1)" = 4,50 ]; done
		for r in 0 1 2; do [[ $(shown <"rank$r" | wc -l) == 1[67] ]]; done
	done
	for r in 0 1 2; do [ "$(zn-load -b 4 --tail drop --rank $r --world 3 a.tar.gz | shown | wc -l)" -eq 16 ]; done
	for r in 0 1 2; do [ "$(zn-load -b 7 --rank $r --world 3 - < <(gzip -dc a.tar.gz | head -c 4096) 2>/dev/null | zn-fmt -o csv --no-heading --fields kind | grep -c batch)" -eq 1 ]; done
}

@test "going on with a stream is exact, mixed or not" {
	samples 60
	gzip a.tar
	for shuffle in 0 20; do
		rm -f state
		zn-load -b 4 --shuffle $shuffle a.tar.gz | shown >whole
		zn-load -b 4 --shuffle $shuffle --resume state a.tar.gz >/dev/null
		sed -i 's/"next":60/"next":28/' state
		zn-load -b 4 --shuffle $shuffle --resume state a.tar.gz | shown >rest
		cmp rest <(tail -32 whole)
	done
	cp a.tar.gz other.tar.gz
	run -64 zn-load --shuffle 20 --resume state other.tar.gz
	[[ $output == *"'state' is of other data"* ]]
}

@test "a truncated stream, a flipped bit and garbage are told, and never are data" {
	samples 60
	gzip -k a.tar
	zn-load a.tar | shown >whole
	head -c $(($(stat -c %s a.tar.gz) / 2)) a.tar.gz >short.tar.gz
	run shown < <(zn-load short.tar.gz 2>/dev/null)
	[[ $output == *"loss ? gzip that ends too early"* ]]
	[ "${#lines[@]}" -gt 20 ]
	run ! grep -vxFf whole <(printf '%s\n' "${lines[@]}" | grep -v ^loss) # each that came is whole
	cp a.tar.gz flipped.tar.gz
	flip flipped.tar.gz $(($(stat -c %s a.tar.gz) / 2))
	run shown < <(zn-load flipped.tar.gz 2>/dev/null)
	[[ $output == *"loss ? damaged gzip: "* ]]
	cp a.tar.gz sum.tar.gz
	flip sum.tar.gz $(($(stat -c %s a.tar.gz) - 6)) # of the checksum
	run shown < <(zn-load sum.tar.gz 2>/dev/null)
	[ "${#lines[@]}" -eq 61 ]
	[[ $output == *"loss ? damaged gzip: incorrect data check"* ]]
	run -65 zn-load --on-error fail sum.tar.gz
	has_libarchive || return 0
	head -c 20000 /dev/urandom >garbage.tar.gz
	cp a.tar.gz last.tar.gz
	run --separate-stderr shown < <(zn-load garbage.tar.gz last.tar.gz 2>/dev/null) # the next one is read all the same
	[ "${lines[0]}" = "loss ? Unrecognized archive format: nothing behind it can be read" ]
	[ "${#lines[@]}" -eq 61 ]
	run -65 zn-load --max-errors 0 garbage.tar.gz
}

@test "a bad header in a stream costs its sample, and nobody gets half of one" {
	samples 20
	zn-load a.tar | shown >whole
	offset=$(python3 -c 'import tarfile; print(tarfile.open("a.tar").getmember("data/4.txt").offset_data - 512)')
	flip a.tar $((offset + 6))
	run shown < <(zn-load - <a.tar 2>/dev/null)
	[ "${lines[0]}" = "loss data/4 the header's checksum is wrong" ]
	cmp <(grep -v data/4 whole) <(printf '%s\n' "${lines[@]:1}")
	has_libarchive || return 0
	python3 -c '
import zipfile
with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_STORED) as z:
    for i in range(1, 21):
        for field in ("txt", "cls"): z.write("data/%d.%s" % (i, field))
print(zipfile.ZipFile("a.zip").getinfo("data/4.txt").header_offset + 60)' >place
	flip a.zip "$(cat place)"
	run shown < <(zn-load a.zip 2>/dev/null)
	[[ ${lines[0]} == "loss data/4 ZIP bad CRC"* ]]
	cmp <(grep -v data/4 whole) <(printf '%s\n' "${lines[@]:1}")
}

@test "a bad header of the pax format, as Python writes it, costs its sample at most, and no other one" {
	samples 30
	zn-load a.tar | shown >whole
	while read -r at key why; do # the header that describes, what it says, the header of the member
		python3 - $at <<-'EOF'
			import sys, tarfile
			with tarfile.open("pax.tar", "w") as t: # pax is Python's default; a time with a fraction takes a header of its own
			    for i in range(1, 31):
			        for field in ("txt", "cls"): t.add("data/%d.%s" % (i, field))
			m = tarfile.open("pax.tar").getmember("data/7.txt")
			assert m.pax_headers and m.offset_data - m.offset == 1536
			b = bytearray(open("pax.tar", "rb").read())
			b[m.offset + int(sys.argv[1]) + 1] ^= 64
			open("pax.tar", "wb").write(b)
		EOF
		gzip -kf pax.tar
		for source in "zn-load pax.tar" "zn-load pax.tar.gz" "zn-load -"; do
			rm -f pax.tar.zni
			# shellcheck disable=SC2086
			run shown < <($source <pax.tar 2>/dev/null)
			[ "${lines[0]}" = "loss $key $why" ]
			cmp <(grep -v "$key " whole) <(printf '%s\n' "${lines[@]:1}")
		done
	done <<-EOF
		0 ? the header's checksum is wrong
		512 ? its pax header makes no sense
		1024 data/7 the header's checksum is wrong
	EOF
}

@test "damage costs in a stream what it costs in an indexed shard, for the same reasons" {
	for seed in $(seq 16); do
		python3 - "$seed" <<-'EOF'
			import io, random, sys, tarfile
			r = random.Random(int(sys.argv[1]))
			with tarfile.open("r.tar", "w", format=r.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))) as t:
			    for i in range(r.choice((3, 12, 40))):
			        for field in ("a", "b", "c"):
			            m = tarfile.TarInfo("%s/%d.%s" % ("d" * (110 if i % 5 == 0 else 1), i, field))
			            data = r.randbytes(r.choice((0, 9, 512, 2000)))
			            m.size, m.mtime = len(data), i + .5
			            t.addfile(m, io.BytesIO(data))
			b = bytearray(open("r.tar", "rb").read())
			heads = [i for i in range(0, len(b), 512) if b[i + 257:i + 262] == b"ustar"]
			for _ in range(r.randrange(1, 4)):
			    at = r.choice(heads)
			    how = r.choice(("flip", "flip", "zeros", "noise", "much noise"))
			    if how == "flip": b[at + r.randrange(512)] ^= 1 << r.randrange(8)
			    if how == "zeros": b[at:at + 512] = bytes(512)
			    if how == "noise": b[at:at + 512] = r.randbytes(512)
			    if how == "much noise": b[at:at + 4096] = r.randbytes(len(b[at:at + 4096]))
			if r.random() < .3: del b[r.randrange(len(b) // 2, len(b)):]
			open("r.tar", "wb").write(b)
		EOF
		gzip -kf r.tar
		rm -f r.tar.zni
		zn-load r.tar 2>/dev/null | shown | LC_ALL=C sort >want
		grep -q ^loss want
		zn-load r.tar.gz 2>/dev/null | shown | LC_ALL=C sort | cmp want -
		zn-load - <r.tar 2>/dev/null | shown | LC_ALL=C sort | cmp want -
	done
}

@test "tar is read without libarchive, plain or in gzip, and what is something else is refused in a sentence" {
	samples 10
	gzip -k a.tar
	[ "$(zn-load - <a.tar | shown | wc -l)" -eq 10 ]
	cmp <(zn-load - <a.tar) <(zn-load a.tar.gz)
	zn-load - </dev/null 2>&1 | grep -q "there is no sample in it"
	has_libarchive && skip "built with libarchive: nothing is refused"
	python3 -c 'import zipfile; z = zipfile.ZipFile("a.zip", "w"); z.write("data/1.txt"); z.close()'
	run zn-load a.zip
	[ "$status" -ne 0 ]
	[[ $output == *"'a.zip' is neither tar nor tar.gz, which takes libarchive, and this was built without it"* ]]
}

@test "what a stream can't do is refused in a sentence" {
	samples 30
	gzip -k a.tar
	run -64 zn-load --shuffle all a.tar.gz
	[[ $output == *"not all can be mixed of what can only be read from its beginning"* ]]
	run -64 zn-load -e 2 - </dev/null
	[[ $output == *"'-' can only be read once: not for more than one epoch"* ]]
	run -64 zn-load --tail repeat a.tar.gz
	run -64 zn-load - - </dev/null
	head -c 3M /dev/urandom >data/3.txt
	tar -czf large.tar.gz data/1.txt data/2.txt data/3.txt data/4.txt data/5.txt
	run shown < <(zn-load -b 1 --memory 2M large.tar.gz 2>/dev/null)
	[ "${lines[2]}" = "loss data/3 it is larger than the memory that was allowed" ]
	[ "${#lines[@]}" -eq 5 ]
	for i in 1 2 3 4; do head -c 900K /dev/urandom >data/$i.txt; done
	tar -czf large.tar.gz data/1.txt data/2.txt data/3.txt data/4.txt
	run -71 zn-load --shuffle 4 --memory 2M large.tar.gz
	[[ $output == *"a window of 4 samples, and a batch, take more than the 2.0 MiB that are allowed"* ]]
	[ "$(zn-load -b 1 --memory 2M large.tar.gz | shown | wc -l)" -eq 4 ]
	zn-load - </dev/null 2>&1 | grep -q "there is no sample in it"
	zn-load --stats a.tar.gz 2>&1 >/dev/null | grep -q "the bottleneck is "
}

@test "SIGTERM ends it while nobody writes to its FIFO" {
	samples 10
	mkfifo fifo
	zn-load -b 2 fifo >out &
	pid=$!
	exec 8>fifo
	cat a.tar >&8
	for _ in $(seq 200); do [ -s out ] && break; sleep 0.05; done
	[ -s out ]
	kill -TERM $pid
	status=0
	wait $pid || status=$? # not by run, whose shell has no such child
	[ "$status" -eq 143 ]
	exec 8>&-
}

@test "fields of a stream become numbers as those of a shard do" {
	samples 40
	gzip -k a.tar
	zn-load --decode cls=int:i32 --shuffle 7 -b 6 a.tar.gz | cmp - <(zn-load --decode cls=int:i32 --shuffle 7 -b 6 a.tar)
	run --separate-stderr zn-fmt -o json < <(zn-load --decode txt=int a.tar.gz 2>/dev/null)
	[ "${#lines[@]}" -ge 40 ] # one loss for each, and batches of none
	[[ ${lines[0]} == *'"kind":"loss"'*'"key":"data/1"'* ]]
}
