# Completion of zn-bench, printed by zn-bench --complete=fish.
complete -c zn-bench -f
complete -c zn-bench -s r -l rounds -x -d 'measure each figure N times (default 10)'
complete -c zn-bench -l against -x -a 'ck_ring malloc mmap small-pages msgpack-c' -d 'measure this peer by turns with us; list says which there are'
complete -c zn-bench -l compare -r -F -d 'beside each figure the one of an earlier run, kept with -o msgpack or -o json'
complete -c zn-bench -l wait -x -a 'spin yield sleep' -d 'how latency\'s consumer waits: spin, yield or sleep (default: spin)'
complete -c zn-bench -l size -x -d 'the largest block of alloc, array of mem, set of chase'
complete -c zn-bench -s o -l output -x -a 'table json csv msgpack' -d 'table, json, csv or msgpack (default: table on a terminal, else msgpack)'
complete -c zn-bench -l fields -x -d 'only these keys, comma-separated, in this order; \'help\' lists them'
complete -c zn-bench -l no-heading -d 'a table without its heading'
complete -c zn-bench -s h -l help -d 'print this help'
complete -c zn-bench -l version -d 'print the version'
complete -c zn-bench -l complete -x -a 'bash zsh fish' -d 'print the completions for a shell'
complete -c zn-bench -a 'list all ring latency alloc mem chase pipe record'
