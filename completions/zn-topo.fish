# Completion of zn-topo, printed by zn-topo --complete=fish.
complete -c zn-topo -f
complete -c zn-topo -s m -l matrix -d 'show the links of GPUs and NICs'
complete -c zn-topo -s a -l audit -d 'say of each process that holds a GPU whether it runs next to it, and how to mend it'
complete -c zn-topo -s k -l kind -x -a 'machine numa cpu gpu nic nvme link node' -d 'only records of these kinds, comma-separated'
complete -c zn-topo -s f -l from -r -F -d 'read an hwloc XML file or a directory with a copy of /sys instead of this machine'
complete -c zn-topo -l mock -x -d 'make up N GPUs over this machine\'s CPUs and memory'
complete -c zn-topo -s o -l output -x -a 'table json csv msgpack' -d 'table, json, csv or msgpack (default: table on a terminal, else msgpack)'
complete -c zn-topo -l fields -x -d 'only these keys, comma-separated, in this order; \'help\' lists them'
complete -c zn-topo -l no-heading -d 'a table without its heading'
complete -c zn-topo -s h -l help -d 'print this help'
complete -c zn-topo -l version -d 'print the version'
complete -c zn-topo -l complete -x -a 'bash zsh fish' -d 'print the completions for a shell'
