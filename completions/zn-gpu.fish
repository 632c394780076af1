# Completion of zn-gpu, printed by zn-gpu --complete=fish.
complete -c zn-gpu -f
complete -c zn-gpu -s q -l quick -d 'look once: leave out activity and traffic that are measured between two looks'
complete -c zn-gpu -l mock -x -d 'make up N GPUs; nothing is measured of these'
complete -c zn-gpu -s o -l output -x -a 'table json csv msgpack' -d 'table, json, csv or msgpack (default: table on a terminal, else msgpack)'
complete -c zn-gpu -l fields -x -d 'only these keys, comma-separated, in this order; \'help\' lists them'
complete -c zn-gpu -l no-heading -d 'a table without its heading'
complete -c zn-gpu -s h -l help -d 'print this help'
complete -c zn-gpu -l version -d 'print the version'
complete -c zn-gpu -l complete -x -a 'bash zsh fish' -d 'print the completions for a shell'
complete -c zn-gpu -n __fish_use_subcommand -a list -d 'list the GPUs, what they do now and who uses them (the default)'
complete -c zn-gpu -n __fish_use_subcommand -a watch -d 'sample what the GPUs do, again and again'
complete -c zn-gpu -n '__fish_seen_subcommand_from watch' -s i -l interval -x -d 'from one look to the next (default: 1 second)'
complete -c zn-gpu -n '__fish_seen_subcommand_from watch' -s n -l count -x -d 'end after N looks'
