# Completion of zn-schedd, printed by zn-schedd --complete=fish.
complete -c zn-schedd -f
complete -c zn-schedd -l spool -x -a '(__fish_complete_directories)' -d 'the spool (default: ZENITH_SPOOL, or the user\'s own)'
complete -c zn-schedd -l config -r -F -d 'configuration (default: ZENITH_CONFIG, or the usual places)'
complete -c zn-schedd -l nodes -r -F -d 'the nodes to serve, a line for each; remembered in the spool (default: this machine)'
complete -c zn-schedd -l detach -d 'go to the background once listening, log to the spool, go away after an hour without work'
complete -c zn-schedd -l system -d 'machine-wide: serve all users; as root, start the agent and become the user of --user'
complete -c zn-schedd -l user -x -a '(__fish_complete_users)' -d 'with --system: who to be (default: zenith)'
complete -c zn-schedd -l stop -d 'stop the zn-schedd of the spool; running jobs go on'
complete -c zn-schedd -l check-spool -d 'read the whole spool, change nothing, say what is damaged'
complete -c zn-schedd -s h -l help -d 'print this help'
complete -c zn-schedd -l version -d 'print the version'
complete -c zn-schedd -l complete -x -a 'bash zsh fish' -d 'print the completions for a shell'
