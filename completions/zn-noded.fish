# Completion of zn-noded, printed by zn-noded --complete=fish.
complete -c zn-noded -f
complete -c zn-noded -l spool -x -a '(__fish_complete_directories)' -d 'the spool to serve (default: as zn-submit finds it)'
complete -c zn-noded -l node -x -d 'which of several nodes of the spool it is (default: the only one, named as the machine)'
complete -c zn-noded -l detach -d 'return when the agent listens, and leave it running'
complete -c zn-noded -l attach -d 'connect standard input and output to the agent that runs'
complete -c zn-noded -l confine -x -a 'auto subreaper' -d 'how jobs are held (default: auto, the best there is)'
complete -c zn-noded -l system -d 'as root, machine-wide: run each job as the user who submitted it'
complete -c zn-noded -l user -x -a '(__fish_complete_users)' -d 'with --system: whose zn-schedd to serve (default: zenith)'
complete -c zn-noded -l system-accounts -d 'with --system: run jobs of root and of system accounts too'
complete -c zn-noded -s h -l help -d 'print this help'
complete -c zn-noded -l version -d 'print the version'
complete -c zn-noded -l complete -x -a 'bash zsh fish' -d 'print the completions for a shell'
