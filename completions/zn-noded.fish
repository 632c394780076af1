# Completion of zn-noded, printed by zn-noded --complete=fish.
complete -c zn-noded -f
complete -c zn-noded -l spool -x -a '(__fish_complete_directories)' -d 'the spool to serve (default: as zn-submit finds it)'
complete -c zn-noded -l node -x -d 'the node\'s name (default: the machine\'s)'
complete -c zn-noded -l detach -d 'return when the agent listens, and leave it running'
complete -c zn-noded -l attach -d 'connect standard input and output to the agent that runs'
complete -c zn-noded -l confine -x -a 'auto subreaper' -d 'how jobs are held (default: auto, the best there is)'
complete -c zn-noded -l scheduler -x -a '(__fish_complete_users)' -d 'as root: serve this user\'s zn-schedd, and become whom its jobs name'
complete -c zn-noded -l system-accounts -d 'as root, run jobs of root and of system accounts too'
complete -c zn-noded -s h -l help -d 'print this help'
complete -c zn-noded -l version -d 'print the version'
complete -c zn-noded -l complete -x -a 'bash zsh fish' -d 'print the completions for a shell'
