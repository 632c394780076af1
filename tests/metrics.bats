#!/usr/bin/env bats
# metrics: what zn-schedd tells Prometheus, and what who asks for it, or only says so, can't do to it.
load queue

# zn-schedd serves metrics at a port of its own.
served() {
	start --metrics 127.0.0.1:0 "$@"
	find_port
}
find_port() {
	port=$(sed -n 's|.*metrics are at http://127.0.0.1:\([0-9]*\)/metrics$|\1|p' "$ZENITH_SPOOL/schedd.log" | tail -n 1)
	[ "$port" ]
}
# ask REQUEST: the whole answer to what printf makes of it.
ask() {
	local web
	exec {web}<>"/dev/tcp/127.0.0.1/$port"
	# shellcheck disable=SC2059
	printf "$1" >&"$web"
	timeout 60 cat <&"$web"
	exec {web}>&-
}
status_of() { ask "$1" | head -n 1 | tr -d '\r'; }
scrape() { ask 'GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n' | sed '1,/^\r$/d'; }
# metric SAMPLE: its value now.
metric() { scrape | value_in "$1"; }
value_in() { awk -v m="$1" 'index($0, m " ") == 1 { print $NF }'; }
is() { [ "$(metric "$1")" = "$2" ] || { echo "$1 is $(metric "$1"), not $2" >&2; return 1; }; }
families() { scrape | sed -n 's/^# TYPE //p' | sort; }
# Debian's, which scripts/get-prometheus unpacks.
need_prometheus() {
	PATH=$BATS_TEST_DIRNAME/../build/prometheus/usr/bin:$PATH
	command -v "$1" >/dev/null || skip "no $1: scripts/get-prometheus"
}

@test "a scrape counts what was submitted, what waits, runs and ended, and what is allocated" {
	served
	zn-submit --wait -- true
	run ! zn-submit --wait -- false
	blocker -g 2
	await RUNNING 3
	zn-submit --array 1-5 -g 8 -- true
	zn-submit --hold -- true
	zn-submit --hold -- true
	zn-queue cancel 6
	run ! zn-submit --licences none -- true
	scrape >all
	while read -r sample expected; do
		[ "$(value_in "$sample" <all)" = "$expected" ] || { echo "$sample is not $expected" >&2; grep -F "$sample" all >&2; false; }
	done <<-'END'
		zenith_scheduler_jobs_submitted_total 10
		zenith_scheduler_submissions_refused_total 1
		zenith_scheduler_jobs_pending 6
		zenith_scheduler_jobs_running 1
		zenith_scheduler_jobs{state="pending"} 1
		zenith_scheduler_jobs{state="queued"} 5
		zenith_scheduler_jobs{state="running"} 1
		zenith_scheduler_jobs{state="suspended"} 0
		zenith_scheduler_jobs_ended_total{state="completed"} 1
		zenith_scheduler_jobs_ended_total{state="failed"} 1
		zenith_scheduler_jobs_ended_total{state="cancelled"} 1
		zenith_scheduler_allocation_success_total 3
		zenith_scheduler_queue_wait_seconds_count 3
		zenith_scheduler_queue_wait_seconds_bucket{le="+Inf"} 3
		zenith_scheduler_gpus 8
		zenith_scheduler_gpus_allocated 2
		zenith_scheduler_agents_up 1
		zenith_scheduler_nodes{state="up"} 1
		zenith_scheduler_nodes{state="down"} 0
	END
	[ "$(value_in zenith_scheduler_decision_seconds_count <all)" -ge 3 ]
	[ "$(value_in zenith_journal_fsync_seconds_count <all)" -ge 6 ]
	[ "$(value_in zenith_journal_records_total <all)" -ge 10 ]
	zn-queue cancel 4 5
	is zenith_scheduler_jobs_pending 0
	is 'zenith_scheduler_jobs_ended_total{state="cancelled"}' 7
}

@test "an array that is cancelled while some of it runs is counted once, each element as what it became" {
	served
	zn-submit --array 1-6 -g 4 -- /bin/sh -c "until [ -e '$dir/go' ]; do sleep 0.05; done"
	until_true is zenith_scheduler_jobs_running 2
	is 'zenith_scheduler_jobs{state="queued"}' 4
	zn-queue cancel --grace 0 1
	timeout 60 zn-queue wait 1 || true
	is zenith_scheduler_jobs_pending 0
	is zenith_scheduler_jobs_running 0
	is 'zenith_scheduler_jobs_ended_total{state="cancelled"}' 6
}

@test "who is preempted, requeued or frozen is counted by how and why" {
	served
	blocker -g 8 --preemptible
	await RUNNING 1
	blocker -g 8 --priority 5
	await RUNNING 2
	is 'zenith_scheduler_preemptions_total{how="sent_back"}' 1
	is 'zenith_scheduler_requeues_total{cause="preempted"}' 1
	zn-queue requeue 2
	until_true is 'zenith_scheduler_requeues_total{cause="asked"}' 1
	is 'zenith_scheduler_preemptions_total{how="frozen"}' 0
}

@test "quotas and licences are told by the names of the configuration, and no user or job is" {
	cat >conf <<-END
		[quota user:*]
		gpus = 6
		gpu_hours = 10
		[quota account:vision]
		soft_running = 3
		[licences]
		matlab = 5
	END
	served --config conf
	blocker -g 2 --account vision --licences matlab:2
	await RUNNING 1
	is 'zenith_quota_used{quota="user:*",resource="gpus"}' 2
	is 'zenith_quota_limit{quota="user:*",resource="gpus",level="hard"}' 6
	is 'zenith_quota_limit{quota="user:*",resource="gpu_seconds",level="hard"}' 36000
	is 'zenith_quota_used{quota="account:vision",resource="jobs_running"}' 1
	is 'zenith_quota_limit{quota="account:vision",resource="jobs_running",level="soft"}' 3
	is 'zenith_licences{licence="matlab"}' 5
	is 'zenith_licences_used{licence="matlab"}' 2
	run ! eval "scrape | grep -w '$(id -un)'"
	before=$(scrape | grep -c '')
	for _ in 1 2 3 4 5; do zn-submit --name other --hold -- true; done
	[ "$(scrape | grep -c '')" = "$before" ]
}

@test "promtool has nothing to say about it" {
	need_prometheus promtool
	printf '[quota user:*]\ngpus = 6\n[licences]\nmat"lab\\1 = 5\n' >conf
	served --config conf
	zn-submit --wait -- true
	run -0 promtool check metrics < <(scrape)
	[ -z "$output" ]
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# query EXPRESSION: the value that Prometheus has for it.
query() {
	python3 -c 'import json, sys, urllib.parse, urllib.request
q = "http://127.0.0.1:%s/api/v1/query?query=%s" % (sys.argv[1], urllib.parse.quote(sys.argv[2]))
for r in json.load(urllib.request.urlopen(q))["data"]["result"]: print(r["value"][1])' "$prom_port" "$1" 2>/dev/null
}
answers() { [ "$(query "$1")" = "$2" ]; }

@test "Prometheus scrapes it, and a query returns the right number" {
	need_prometheus prometheus
	served
	for _ in 1 2 3; do zn-submit --wait -- true; done
	zn-submit --hold -- true
	prom_port=$(free_port)
	printf 'scrape_configs:\n- job_name: zenith\n  scrape_interval: 1s\n  static_configs: [{targets: ["127.0.0.1:%s"]}]\n' "$port" >prometheus.yml
	prometheus --config.file prometheus.yml --storage.tsdb.path tsdb --web.listen-address "127.0.0.1:$prom_port" >prometheus.log 2>&1 3>&- &
	pid=$!
	until_true answers up 1 || { tail prometheus.log >&2; kill $pid; false; }
	until_true answers 'zenith_scheduler_jobs_ended_total{state="completed"}' 3
	answers zenith_scheduler_jobs_pending 1
	answers 'sum(zenith_scheduler_queue_wait_seconds_bucket{le="+Inf"})' 3
	zn-queue cancel 4
	until_true answers zenith_scheduler_jobs_pending 0
	kill $pid
	wait $pid
}

@test "nothing but GET /metrics is answered" {
	served
	[ "$(status_of 'GET /metrics HTTP/1.0\r\n\r\n')" = "HTTP/1.1 200 OK" ]
	[ "$(status_of 'GET /metrics?x=1 HTTP/1.1\n\n')" = "HTTP/1.1 200 OK" ]
	ask 'GET /metrics HTTP/1.1\r\n\r\n' | grep -x $'Content-Type: text/plain; version=0.0.4; charset=utf-8\r'
	for path in / /metric /metricss /metrics/ /../metrics %2Fmetrics '*'; do
		[ "$(status_of "GET ${path//%/%%} HTTP/1.1\r\n\r\n")" = "HTTP/1.1 404 Not Found" ] || { echo "$path" >&2; false; }
	done
	for method in POST PUT DELETE HEAD OPTIONS get; do
		[ "$(status_of "$method /metrics HTTP/1.1\r\n\r\n")" = "HTTP/1.1 405 Method Not Allowed" ] || { echo "$method" >&2; false; }
	done
	for line in '\r\n\r\n' ' \r\n\r\n' 'GET\r\n\r\n' 'GET /metrics\r\n\r\n' 'GET  /metrics HTTP/1.1\r\n\r\n' 'GET /metrics HTTP/2\r\n\r\n' \
		'\0\1\377\0\n\n' 'GET /metrics HTT\n\n' 'GET /metrics \n\n'; do
		[ "$(status_of "$line")" = "HTTP/1.1 400 Bad Request" ] || { echo "$line" >&2; false; }
	done
	run -0 zn-submit --wait -- true
}

@test "a request that is too long is refused, and noise of any kind costs nobody else anything" {
	served
	long=$(head -c 9000 /dev/zero | tr '\0' x)
	[ "$(status_of "GET /metrics HTTP/1.1\r\nX: $long\r\n\r\n")" = "HTTP/1.1 431 Request Header Fields Too Large" ]
	for n in 1 10 1000 100000; do
		{ head -c $n /dev/urandom >"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null || true
	done
	[ "$(status_of 'GET /metrics HTTP/1.1\r\n\r\n')" = "HTTP/1.1 200 OK" ]
	run -0 zn-submit --wait -- true
}

@test "who connects and says nothing, little or never reads delays neither a submit nor another scrape" {
	served
	python3 -c 'import socket, sys, time
silent = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for i in range(30)]
for i, s in enumerate(silent[20:]):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
    try: s.sendall(b"GET /metrics HTTP/1.1\r\n" + (b"\r\n" if i % 2 else b"X: "))
    except OSError: pass
print("there", flush=True)
time.sleep(600)' "$port" >there 3>&- &
	pid=$!
	until_true has_lines 1 there
	run -0 zn-submit --wait -- true
	is 'zenith_scheduler_jobs_ended_total{state="completed"}' 1
	sockets() { find "/proc/$(pid_of zn-schedd)/fd" -lname 'socket:*' | wc -l; }
	[ "$(sockets)" -le 20 ]
	kill $pid
	wait $pid || true
}

@test "a connection is hung up in a while, whatever it says and however slowly" {
	served
	python3 -c 'import select, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
try:
    while not select.select([s], [], [], 0.2)[0]: s.sendall(b"G")
    end = s.recv(1)
except OSError: end = b""
print(end == b"")' "$port" >end 3>&-
	[ "$(cat end)" = True ]
	[ "$(status_of 'GET /metrics HTTP/1.1\r\n\r\n')" = "HTTP/1.1 200 OK" ]
}

@test "an address that others reach must be asked for; what is none is refused" {
	for at in 0.0.0.0:0 '[::]:0' 192.0.2.1:9464; do
		run --separate-stderr -64 zn-schedd --metrics "$at"
		[[ $stderr == "zn-schedd: metrics at '$at': others reach that address; "*--metrics-anywhere* ]]
	done
	for at in '' : 9464 127.0.0.1 127.0.0.1: :9464 127.0.0.1:x 127.0.0.1:65536 127.0.0.1:-1 localhost:9464 '[::1' "$(printf '%0200d:1' 1)"; do
		run --separate-stderr -64 zn-schedd --metrics "$at"
		[[ $stderr == "zn-schedd: metrics at '$at': say an address and a port, "* ]] || { echo "$stderr" >&2; false; }
	done
	[ ! -e "$ZENITH_SPOOL/journal" ]
	start --metrics 0.0.0.0:0 --metrics-anywhere
	port=$(sed -n 's|.*at http://0.0.0.0:\([0-9]*\)/.*|\1|p' "$ZENITH_SPOOL/schedd.log")
	is zenith_scheduler_jobs_running 0
	zn-schedd --stop
	printf '[metrics]\nlisten = 0.0.0.0:0\n' >conf
	run -64 zn-schedd --config conf
	printf '[metrics]\nlisten = 0.0.0.0:0\nanywhere = yes\n' >conf
	start --config conf
	grep 'metrics are at http://0.0.0.0:' "$ZENITH_SPOOL/schedd.log"
}

@test "a port that somebody has ends who named it; who found it in the configuration goes on without" {
	served
	export ZENITH_SPOOL=$dir/other
	run --separate-stderr -71 zn-schedd --metrics "127.0.0.1:$port"
	[ "$stderr" = "zn-schedd: metrics can't be served at '127.0.0.1:$port': Address already in use" ]
	printf '[metrics]\nlisten = 127.0.0.1:%s\n' "$port" >conf
	start --config conf
	grep "metrics can't be served at '127.0.0.1:$port'" "$ZENITH_SPOOL/schedd.log"
	zn-schedd --stop
}

inode() { stat -c '%i %Y' here.prom; }
file_has() { [ "$(value_in "$1" <here.prom)" = "$2" ]; }

@test "the file has what a scrape has, is for all to read, and is gone with zn-schedd" {
	printf '[metrics]\ntextfile = %s/here.prom\n' "$dir" >conf
	(umask 077 && served --config conf)
	find_port
	[ "$(stat -c %a here.prom)" = 644 ]
	zn-submit --wait -- true
	until_true file_has 'zenith_scheduler_jobs_ended_total{state="completed"}' 1
	# what zn-submit was is over in the one that is written last
	until_true eval 'diff <(scrape) here.prom'
	[ "$(echo *prom*)" = here.prom ]
	zn-schedd --stop
	[ ! -e here.prom ]
}

@test "the file is written only when something changed, and whoever reads it finds all of it" {
	printf '[metrics]\ntextfile = %s/here.prom\n' "$dir" >conf
	start --config conf
	for ((i = 0; i < 60; i++)); do [ "$(tail -n 1 here.prom | cut -d'{' -f1)" = zenith_build_info ] || echo "torn" >>torn; done 3>&- &
	reader=$!
	for _ in 1 2 3 4 5 6; do zn-submit --wait -- true; done
	wait $reader
	[ ! -e torn ]
	until_true file_has 'zenith_scheduler_jobs_ended_total{state="completed"}' 6
	until_true file_has zenith_scheduler_clients 0
	settled() { local was; was=$(inode); run timeout 1.5 tail -f /dev/null; [ "$(inode)" = "$was" ]; }
	until_true settled
	before=$(inode)
	run timeout 3 tail -f /dev/null
	[ "$(inode)" = "$before" ]
	# who asks and gets nothing has changed nothing, once he is gone
	refused() { zn-queue cancel 1 2>/dev/null || settled; }
	until_true refused
	zn-submit --hold -- true
	timeout 600 zn-queue wait 7 3>&- &
	waiter=$!
	until_true file_has zenith_scheduler_clients 1
	until_true settled
	kill $waiter
	until_true file_has zenith_scheduler_clients 0
}

@test "a file that makes no sense is refused; one that can't be written is said once, and jobs run" {
	for path in here.prom /here "$dir/.prom" "$dir/x.prom.txt" ''; do
		printf '[metrics]\ntextfile = %s\n' "$path" >conf
		run --separate-stderr -64 zn-schedd --config conf
		[[ $stderr == *"[metrics] textfile = '$path'"* ]] || { echo "$path: $stderr" >&2; false; }
	done
	printf '[metrics]\ntextfile = %s/not/here.prom\n' "$dir" >conf
	start --config conf
	zn-submit --wait -- true
	[ "$(grep -c "metrics can't be written to '$dir/not/here.prom': No such file or directory" "$ZENITH_SPOOL/schedd.log")" = 1 ]
	mkdir not
	ln -s ../kept not/here.prom.new
	zn-submit --wait -- true
	until_true exists not/here.prom
	[ ! -e kept ]
	zn-schedd --stop
	[ -z "$(ls not)" ]
}

@test "an idle zn-schedd that serves metrics wakes up for nothing" {
	printf '[metrics]\ntextfile = %s/here.prom\n' "$dir" >conf
	served --config conf
	zn-submit --wait -- true
	is zenith_scheduler_jobs_running 0
	pid=$(pid_of zn-schedd)
	switches() { cat "/proc/$pid"/task/*/status | awk '/ctxt_switches/ { n += $2 } END { print n }'; }
	still() { local was; was=$(switches); run timeout 1.5 tail -f /dev/null; [ "$(switches)" = "$was" ]; }
	until_true still # the last change is in the file
	before=$(switches)
	run timeout 3 tail -f /dev/null
	[ "$(switches)" = "$before" ]
}

@test "one that is scraped is idle all the same, and goes away" {
	printf '[queue]\nidle_exit = 2\n' >conf
	served --config conf
	pid=$(pid_of zn-schedd)
	for ((i = 0; i < 600; i++)); do
		ended "$pid" && break
		scrape >/dev/null 2>&1 || true
		read -rt 0.1 <> <(:) || :
	done
	ended "$pid"
}

@test "scrapes beside a zn-schedd that is killed again and again lose no job" {
	port=$(free_port)
	start --metrics "127.0.0.1:$port"
	python3 -c 'import socket, sys, time
while True:
    try:
        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        while s.recv(65536): pass
        s.close()
    except OSError: pass
    time.sleep(0.005)' "$port" 3>&- &
	reader=$!
	for ((i = 1; i <= 8; i++)); do
		zn-submit -- true >>ids
		kill -9 "$(pid_of zn-schedd)"
		until_true start --metrics "127.0.0.1:$port"
	done
	mapfile -t ids <ids
	timeout 120 zn-queue wait "${ids[@]}"
	kill -0 $reader
	kill $reader
	[ "$(sort -u ids | wc -l)" = 8 ]
	for id in "${ids[@]}"; do [ "$(state "$id")" = COMPLETED ]; done
	is zenith_scheduler_jobs_pending 0
}

@test "the manual lists each metric with its type, and no other" {
	served
	page=$BATS_TEST_DIRNAME/../man/zenith-metrics.7
	diff <(families) <(awk '$1 == ".It" && $2 == "Ic" { print $3, $NF }' "$page" | sort)
}

@test "the dashboard asks for nothing that is not there" {
	served
	families | awk '{ print $1; if ($2 == "histogram") { print $1 "_bucket"; print $1 "_sum"; print $1 "_count" } }' | sort >there
	python3 - "$BATS_TEST_DIRNAME/../scripts/grafana-zenith.json" >asked <<-'END'
		import json, re, sys
		board = json.load(open(sys.argv[1]))
		panels = [p for p in board["panels"] if p["type"] != "row"]
		assert panels and all(p["targets"] for p in panels)
		assert len({p["id"] for p in board["panels"]}) == len(board["panels"])
		for p in panels:
		    for t in p["targets"]:
		        names = re.findall(r"\bzenith_[a-z0-9_]+", t["expr"])
		        assert names, t["expr"]
		        print("\n".join(names))
	END
	left=$(sort -u asked | comm -23 - there)
	[ -z "$left" ] || { echo "there is no $left" >&2; false; }
	for name in jobs_pending jobs_running queue_wait_seconds_bucket decision_seconds_bucket jobs_ended_total preemptions_total agents_up; do
		grep -qx "zenith_scheduler_$name" asked || { echo "no panel has $name" >&2; false; }
	done
	grep -qx zenith_journal_fsync_seconds_bucket asked
	grep -qx zenith_quota_used asked
}

@test "Prometheus understands each question of the dashboard" {
	need_prometheus promtool
	python3 - "$BATS_TEST_DIRNAME/../scripts/grafana-zenith.json" >rules.yml <<-'END'
		import json, sys
		asked = [t["expr"] for p in json.load(open(sys.argv[1]))["panels"] for t in p.get("targets", [])]
		rules = [{"record": "q:%d" % i, "expr": e.replace("$__rate_interval", "5m").replace("$instance", ".*")} for i, e in enumerate(asked)]
		print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
	END
	run -0 promtool check rules rules.yml
}
