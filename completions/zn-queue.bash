# shellcheck shell=bash
# Completion of zn-queue, printed by zn-queue --complete=bash.
_zn_reply() { mapfile -t COMPREPLY < <(compgen "$@" -- "$cur"); }

_zn_queue()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i verb=

	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--) ((i++)); break ;;
		--complete|-u|--user|-s|--state|-n|--name|-o|--output|--fields) [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++)); ((i++)) ;;
		-*) ;;
		*) break ;;
		esac
	done
	((i < COMP_CWORD)) && verb=${COMP_WORDS[i]}
	case $verb in
	list)
		case $prev in
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-u --user -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			:
		fi
		;;
	show)
		case $prev in
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-o --output --fields --no-heading -u --user -m --mine -s --state -n --name -a --all -h --help --version --complete'
		else
			_zn_reply -W "$(command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null)"
		fi
		;;
	why)
		case $prev in
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-o --output --fields --no-heading -u --user -m --mine -s --state -n --name -a --all -h --help --version --complete'
		else
			_zn_reply -W "$(command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null)"
		fi
		;;
	blame)
		case $prev in
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-o --output --fields --no-heading -u --user -m --mine -s --state -n --name -a --all -h --help --version --complete'
		else
			_zn_reply -W "$(command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null)"
		fi
		;;
	cancel)
		case $prev in
		--signal) :; return ;;
		--grace) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '--signal --grace -u --user -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			_zn_reply -W "$(command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null)"
		fi
		;;
	hold)
		case $prev in
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-u --user -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			_zn_reply -W "$(command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null)"
		fi
		;;
	release)
		case $prev in
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-u --user -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			_zn_reply -W "$(command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null)"
		fi
		;;
	suspend)
		case $prev in
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-u --user -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			_zn_reply -W "$(command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null)"
		fi
		;;
	resume)
		case $prev in
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-u --user -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			_zn_reply -W "$(command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null)"
		fi
		;;
	requeue)
		case $prev in
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-u --user -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			_zn_reply -W "$(command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null)"
		fi
		;;
	modify)
		case $prev in
		-p|--priority) :; return ;;
		-t|--time) :; return ;;
		--name) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-p --priority -t --time --name -u --user -m --mine -s --state -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			_zn_reply -W "$(command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null)"
		fi
		;;
	adopt)
		case $prev in
		-g|--gpus) :; return ;;
		-t|--time) :; return ;;
		--mem) :; return ;;
		--name) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-g --gpus -t --time --mem --name -u --user -m --mine -s --state -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			:
		fi
		;;
	wait)
		case $prev in
		--timeout) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '--timeout -u --user -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			_zn_reply -W "$(command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null)"
		fi
		;;
	log)
		case $prev in
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-f --follow -e --error -u --user -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			_zn_reply -W "$(command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null)"
		fi
		;;
	events)
		case $prev in
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		--since) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-u --user -m --mine -s --state -n --name -f --follow --since -o --output --fields --no-heading -a --all -h --help --version --complete'
		else
			:
		fi
		;;
	history)
		case $prev in
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		--within) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-u --user -m --mine -s --state -n --name --within -o --output --fields --no-heading -a --all -h --help --version --complete'
		else
			:
		fi
		;;
	quotas)
		case $prev in
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-o --output --fields --no-heading -u --user -m --mine -s --state -n --name -a --all -h --help --version --complete'
		else
			:
		fi
		;;
	shares)
		case $prev in
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-o --output --fields --no-heading -u --user -m --mine -s --state -n --name -a --all -h --help --version --complete'
		else
			:
		fi
		;;
	licences)
		case $prev in
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-o --output --fields --no-heading -u --user -m --mine -s --state -n --name -a --all -h --help --version --complete'
		else
			:
		fi
		;;
	reserve)
		case $prev in
		--from) :; return ;;
		--until) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		--account) :; return ;;
		--node) :; return ;;
		--device) :; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '--from --until -u --user --account --node --device -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			:
		fi
		;;
	unreserve)
		case $prev in
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-u --user -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			:
		fi
		;;
	reservations)
		case $prev in
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-o --output --fields --no-heading -u --user -m --mine -s --state -n --name -a --all -h --help --version --complete'
		else
			:
		fi
		;;
	node)
		case $prev in
		--reason) :; return ;;
		--from) :; return ;;
		--until) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '--reason --from --until -u --user -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			:
		fi
		;;
	nodes)
		case $prev in
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '--usage -o --output --fields --no-heading -u --user -m --mine -s --state -n --name -a --all -h --help --version --complete'
		else
			:
		fi
		;;
	*)
		case $prev in
		-u|--user) _zn_reply -u; return ;;
		-s|--state) _zn_reply -W 'PENDING QUEUED SCHEDULED RUNNING SUSPENDED COMPLETED FAILED CANCELLED'; return ;;
		-n|--name) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-u --user -m --mine -s --state -n --name -a --all -o --output --fields --no-heading -h --help --version --complete'
		else
			_zn_reply -W 'list show why blame cancel hold release suspend resume requeue modify adopt wait log events history quotas shares licences reserve unreserve reservations node nodes'
		fi
		;;
	esac
}
complete -F _zn_queue zn-queue
