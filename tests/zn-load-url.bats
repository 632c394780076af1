#!/usr/bin/env bats
# zn-load of shards on servers: the same bytes as from files, whatever the server does on the way, or losses that say why.
bats_require_minimum_version 1.5.0

s3rver=@20minutes/s3rver@5.0.0

# serve DIR [key=value ...]: sets port; ends with the file's tests.
serve() {
	local out i
	out=$(mktemp "$BATS_FILE_TMPDIR/port.XXXXXX")
	"$BATS_TEST_DIRNAME/tools/range-server" "$@" >"$out" 2>"$out.err" 3>&- &
	echo $! >>"$BATS_FILE_TMPDIR/pids"
	for ((i = 0; i < 300; i++)); do
		read -r port <"$out" && return
		sleep 0.1
	done
	cat "$out.err"
	return 1
}

setup_file() {
	local i k files
	cd "$BATS_FILE_TMPDIR" || return
	mkdir shards data
	for i in {1..40}; do
		head -c $((i * 1700)) /dev/urandom >data/$i.bin && echo $i >data/$i.cls
	done
	for k in 0 1; do
		files=()
		for ((i = 20 * k + 1; i <= 20 * k + 20; i++)); do files+=("data/$i.bin" "data/$i.cls"); done
		tar -cf shards/t-$k.tar "${files[@]}" || return
	done
	serve "$PWD/shards" id=someone secret=s3cret+/= region=eu-north-9 || return
	export url=http://127.0.0.1:$port
}

teardown_file() {
	local pid
	while read -r pid; do kill "$pid"; done <"$BATS_FILE_TMPDIR/pids"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	zn-load http://x/ 2>&1 | grep -q "built without it" && skip "built without libcurl"
	unset RANK WORLD_SIZE "${!AWS_@}" SSL_CERT_FILE http_proxy https_proxy HTTPS_PROXY ALL_PROXY all_proxy
	export XDG_CACHE_HOME=$PWD/cache
	shards=$BATS_FILE_TMPDIR/shards
	: >"$shards.log"
}

# What lies in files, as batches; of what came from a server only the names differ, which no batch has in it.
from_files() { zn-load --no-index "$@" "$shards/t-0.tar" "$shards/t-1.tar"; }
requests() { grep -c "$1" "$shards.log" || true; }
losses() { zn-fmt -o json | grep '"kind":"loss"'; }
# own NAME: a shard of 20 samples that no other test asks for
own() { cp "$shards/t-0.tar" "$shards/$1"; }

@test "a shard on a server gives the batches that it gives in a file, and its index is kept" {
	from_files -b 7 >want
	zn-load --stats -b 7 "$url/ok/t-{0..1}.tar" >got 2>said
	cmp got want
	grep -q "t-1.tar: index built: there is none" said
	before=$(requests .)
	zn-load index "$url/ok/t-0.tar" 2>said
	grep -q "t-0.tar: index read: $XDG_CACHE_HOME/zenith/index/[0-9a-f]*.zni" said
	[ "$(requests .)" -eq $((before + 1)) ] # what it is, and no header again
	[ "$(find cache -name '*.zni' | wc -l)" -eq 2 ]
}

@test "mixed, shared by ranks and read by threads it is the same, too" {
	for rank in 0 1 2; do
		how=(-b 3 --shuffle all --seed 5 -e 2 --world 3 --rank "$rank")
		from_files "${how[@]}" >want
		cmp <(zn-load "${how[@]}" "$url/ok/t-{0..1}.tar") want
		cmp <(zn-load "${how[@]}" -j 2 --depth 3 --no-uring "$url/ok/t-{0..1}.tar") want
	done
}

@test "files and servers go together" {
	from_files >want
	cmp <(zn-load --no-index "$shards/t-0.tar" "$url/ok/t-1.tar") want
}

@test "many ranges are asked for at once, by no more connections than were allowed" {
	zn-load --depth 9 -b 20 --shuffle all "$url/slow-100/t-0.tar" >/dev/null # 20 places
	from=$(grep -v 'bytes=0-' "$shards.log")
	[ "$(awk '{ print $6 }' <<<"$from" | sort -n | tail -n 1)" -ge 5 ]
	[ "$(awk '{ print $5 }' <<<"$from" | sort -u | wc -l)" -le 9 ]
}

@test "nothing is kept with --no-index, nor of a server that says no version" {
	from_files -b 7 >want
	cmp <(zn-load --no-index -b 7 "$url/ok/t-{0..1}.tar") want
	cmp <(zn-load --stats -b 7 "$url/bare/t-{0..1}.tar" 2>said) want
	grep -q "index not kept: the server says neither ETag nor Last-Modified" said
	[ ! -e cache ]
}

@test "an object that has changed since has its index made again" {
	own changed.tar
	zn-load index "$url/ok/changed.tar"
	cp "$shards/t-1.tar" "$shards/changed.tar"
	cmp <(zn-load --stats "$url/ok/changed.tar" 2>said) <(zn-load --no-index "$shards/t-1.tar")
	grep -q "index built: the shard has changed since" said
}

@test "a server that is too busy is asked again, later, as late as it says" {
	from_files -b 7 >want
	cmp <(zn-load -b 7 "$url/busy-3/t-{0..1}.tar") want
	[ "$(requests ' 503 ')" -eq 6 ]
	cp -r "$shards" patient
	serve "$PWD/patient" retry-after=1
	begun=$(date +%s%N)
	cmp <(zn-load -b 7 "http://127.0.0.1:$port/busy-1/t-{0..1}.tar") want
	[ $(($(date +%s%N) - begun)) -ge 1000000000 ]
}

@test "one that never gets better is given up" {
	run -75 --separate-stderr zn-load index "$url/busy-1000/t-0.tar"
	[[ $stderr == *"the server is too busy (503), again and again: SlowDown" ]]
	[ "$(requests ' 503 ')" -eq 5 ]
}

@test "a connection that breaks in the middle goes on where it broke" {
	from_files -b 7 >want
	cmp <(zn-load -b 7 "$url/cut-3/t-{0..1}.tar") want
	[ "$(requests cut-3)" -ge 10 ]
	# Nothing is asked for twice that came: a range begins in the middle of another.
	awk '/cut-3.t-0/ { sub("bytes=", "", $3); split($3, at, "-"); if (at[2] in first && at[1] > first[at[2]]) n++; first[at[2]] = at[1] } END { exit n < 2 }' "$shards.log"
}

@test "one that breaks each time is given up" {
	run -69 --separate-stderr zn-load --no-index "$url/cut-1000/t-0.tar"
	[[ $stderr == "zn-load: '$url/cut-1000/t-0.tar': "* ]]
	[ "$(requests cut-1000/t-0.tar)" -eq 6 ] # the first is what is there
}

@test "what is gone in the middle is lost, and says so" {
	own gone.tar
	zn-load index "$url/gone-4/gone.tar" # two requests; what is there is the third
	zn-load --depth 1 -b 1 "$url/gone-4/gone.tar" >got 2>said
	losses <got >lost
	cmp <(zn-fmt -o json <got | grep -v '"kind":"loss"' | head -n 1) <(zn-load --no-index -b 1 "$shards/gone.tar" | zn-fmt -o json | head -n 1)
	[ "$(wc -l <lost)" -eq 19 ]
	[ "$(grep -c 'there is no such object (404)' lost)" -eq 19 ]
	grep -q "zn-load: 19 lost, the first: something at byte [0-9]* of $url/gone-4/gone.tar: there is no such object (404)" said
}

@test "an object that is replaced in the middle is no mixture" {
	own swap.tar
	zn-load index "$url/swap-4/swap.tar"
	zn-load --depth 1 -b 1 "$url/swap-4/swap.tar" >got 2>said
	losses <got >lost
	[ "$(wc -l <lost)" -eq 19 ]
	[ "$(grep -c 'the object was replaced after reading began' lost)" -eq 19 ]
	own early.tar
	run -71 --separate-stderr zn-load "$url/swap-1/early.tar"
	[ "$stderr" = "zn-load: '$url/swap-1/early.tar': the object was replaced after reading began" ]
}

@test "servers that give something else are refused in a sentence" {
	while read -r code kind sentence; do
		run -"$code" --separate-stderr zn-load "$url/$kind/t-0.tar"
		[ "$stderr" = "zn-load: '$url/$kind/t-0.tar': $sentence" ]
		[ -z "$output" ]
	done <<-'END'
		71 whole the server does not serve ranges
		71 shifted the server gives another range than it was asked for
	END
	run -71 --separate-stderr zn-load "$url/ok/none.tar"
	[ "$stderr" = "zn-load: '$url/ok/none.tar': there is no such object (404): NoSuchKey" ]
	echo "no tar" >"$shards/text.tar"
	run -65 --separate-stderr zn-load "$url/ok/text.tar"
	[ "$stderr" = "zn-load: '$url/ok/text.tar': no tar archive: there is no header in it" ]
	: >"$shards/empty.tar"
	run -0 --separate-stderr zn-load "$url/ok/empty.tar"
	[ "$stderr" = "zn-load: there is no sample in it" ]
	run -69 --separate-stderr zn-load http://127.0.0.1:1/a.tar
	[[ $stderr == "zn-load: 'http://127.0.0.1:1/a.tar': "*onnect* ]]
}

@test "a redirection is followed" {
	from_files -b 7 >want
	cmp <(zn-load -b 7 "$url/move/t-{0..1}.tar?some=thing") want
}

@test "damage in the archive is what it is in a file" {
	own damaged.tar
	printf X | dd of="$shards/damaged.tar" bs=1 seek=3 conv=notrunc status=none
	zn-load --no-index "$shards/damaged.tar" 2>/dev/null | losses | sed 's/"shard":"[^"]*"//' >want
	zn-load "$url/ok/damaged.tar" 2>/dev/null | losses | sed 's/"shard":"[^"]*"//' >got
	[ -s want ]
	cmp got want
}

@test "s3:// is signed as Amazon's documentation has it, and the server checks that" {
	from_files -b 7 >want
	export AWS_ENDPOINT_URL=$url AWS_REGION=eu-north-9 AWS_ACCESS_KEY_ID=someone AWS_SECRET_ACCESS_KEY=s3cret+/=
	cmp <(zn-load -b 7 "s3://s3/t-{0..1}.tar") want
	mkdir "$shards/a b"
	own "a b/ü+1&2=3,(4)~'5'.tar"
	cmp <(zn-load "s3://s3/a b/ü+1&2=3,(4)~'5'.tar") <(zn-load --no-index "$shards/t-0.tar")
	AWS_SECRET_ACCESS_KEY=wrong run -77 --separate-stderr zn-load s3://s3/t-0.tar
	[ "$stderr" = "zn-load: 's3://s3/t-0.tar': the server refuses it (403): SignatureDoesNotMatch" ]
	AWS_REGION=us-east-1 run -77 --separate-stderr zn-load s3://s3/t-0.tar
	[[ $stderr == *": InvalidAccessKeyId" ]]
	unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
	run -77 --separate-stderr zn-load s3://s3/t-0.tar
	[[ $stderr == *": AccessDenied" ]]
	cmp <(zn-load -b 7 "s3://ok/t-{0..1}.tar") want # where nobody asks for it nothing is signed
}

@test "a session's token is signed with the rest" {
	cp -r "$shards" session
	serve "$PWD/session" id=someone secret=other token=to/ken==
	export AWS_ENDPOINT_URL_S3=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=someone AWS_SECRET_ACCESS_KEY=other AWS_SESSION_TOKEN=to/ken==
	cmp <(zn-load s3://s3/t-0.tar) <(zn-load --no-index "$shards/t-0.tar")
	AWS_SESSION_TOKEN=no run -77 --separate-stderr zn-load s3://s3/t-0.tar
	[[ $stderr == *": InvalidToken" ]]
}

@test "https:// wants a certificate that somebody it trusts has signed" {
	command -v openssl || skip "no openssl"
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout key -out cert 2>/dev/null
	cat key cert >both
	cp -r "$shards" secure
	serve "$PWD/secure" cert=both
	run -71 --separate-stderr zn-load "https://127.0.0.1:$port/ok/t-0.tar"
	[[ $stderr == "zn-load: 'https://127.0.0.1:$port/ok/t-0.tar': "*certificate* ]]
	export SSL_CERT_FILE=$PWD/cert
	cmp <(zn-load "https://127.0.0.1:$port/ok/t-0.tar") <(zn-load --no-index "$shards/t-0.tar")
}

@test "what makes no sense is refused before anybody is asked" {
	run -64 --separate-stderr zn-load s3://bucket
	[ "$stderr" = "zn-load: 's3://bucket' is not s3://BUCKET/KEY" ]
	run -71 --separate-stderr zn-load "$url/ok/a.tar.gz?b=c"
	[ "$stderr" = "zn-load: '$url/ok/a.tar.gz?b=c': a packed archive has no samples that can be asked for one by one: fetch it, and pipe it in" ]
	run -71 --separate-stderr zn-load - "$url/ok/t-0.tar" </dev/null
	[[ $stderr == *"what lies at a URL is not read together with what can only be read from its beginning" ]]
	[ ! -s "$shards.log" ]
}

@test "going on with a file of --resume is exact" {
	from_files -b 4 >want
	zn-load -b 4 --resume far "$url/ok/t-{0..1}.tar" | head -c 100000 >/dev/null || true
	zn-load -b 4 --resume far "$url/ok/t-{0..1}.tar" >rest
	[ "$(stat -c %s rest)" -lt "$(stat -c %s want)" ]
	tail -c "$(stat -c %s rest)" want | cmp - rest
}

@test "somebody else's S3 server takes what is signed, and refuses a wrong secret" {
	command -v node && command -v npm || skip "node and npm are not installed"
	timeout 120 npm install --prefix npm --no-audit --no-fund --ignore-scripts --fetch-retries 0 "$s3rver" >log 2>&1 ||
		skip "$s3rver can't be had from the npm registry: $(head -n 1 log)"
	mkdir -p store
	NODE_PATH=$PWD/npm/node_modules node -e '
		const S3rver = require("@20minutes/s3rver");
		const server = new S3rver({ address: "127.0.0.1", port: 0, silent: true, directory: "store", configureBuckets: [{ name: "shards" }] });
		server.run().then((at) => console.log(at.port));' >port 2>log 3>&- &
	echo $! >>"$BATS_FILE_TMPDIR/pids"
	for i in {1..300}; do
		read -r port <port && break
		sleep 0.1
	done
	export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=S3RVER AWS_SECRET_ACCESS_KEY=S3RVER
	curl -sf -T "$shards/t-0.tar" --aws-sigv4 aws:amz:us-east-1:s3 -u S3RVER:S3RVER -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
		"$AWS_ENDPOINT_URL/shards/a/t%201.tar"
	cmp <(zn-load "s3://shards/a/t 1.tar") <(zn-load --no-index "$shards/t-0.tar")
	AWS_SECRET_ACCESS_KEY=wrong run -77 --separate-stderr zn-load "s3://shards/a/t 1.tar"
	[[ $stderr == *"SignatureDoesNotMatch" ]]
	run -71 --separate-stderr zn-load s3://shards/none.tar
	[[ $stderr == *"NoSuchKey" ]]
}
