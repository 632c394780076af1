# Completion of zn-fmt, printed by zn-fmt --complete=fish.
complete -c zn-fmt -f
complete -c zn-fmt -s o -l output -x -a 'table json csv msgpack' -d 'table, json, csv or msgpack (default: table on a terminal, else msgpack)'
complete -c zn-fmt -l fields -x -d 'only these keys, comma-separated, in this order; \'help\' lists them'
complete -c zn-fmt -l no-heading -d 'a table without its heading'
complete -c zn-fmt -l select -x -d 'the same as --fields'
complete -c zn-fmt -s w -l where -x -d 'only records for which this holds'
complete -c zn-fmt -s s -l sort -x -d 'smallest first by this key; -KEY: largest first'
complete -c zn-fmt -l head -x -d 'only the first N'
complete -c zn-fmt -l tail -x -d 'only the last N'
complete -c zn-fmt -s l -l live -d 'show each record when it comes, also in a table'
complete -c zn-fmt -s h -l help -d 'print this help'
complete -c zn-fmt -l version -d 'print the version'
complete -c zn-fmt -l complete -x -a 'bash zsh fish' -d 'print the completions for a shell'
complete -c zn-fmt -F
