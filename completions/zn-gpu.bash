# shellcheck shell=bash
# Completion of zn-gpu, printed by zn-gpu --complete=bash.
_zn_reply() { mapfile -t COMPREPLY < <(compgen "$@" -- "$cur"); }

_zn_gpu()
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
		--complete|--mock|-o|--output|--fields) [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++)); ((i++)) ;;
		-*) ;;
		*) break ;;
		esac
	done
	((i < COMP_CWORD)) && verb=${COMP_WORDS[i]}
	case $verb in
	list)
		case $prev in
		--mock) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-q --quick --mock -o --output --fields --no-heading -h --help --version --complete'
		else
			:
		fi
		;;
	watch)
		case $prev in
		-i|--interval) :; return ;;
		-n|--count) :; return ;;
		--mock) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-i --interval -n --count -q --quick --mock -o --output --fields --no-heading -h --help --version --complete'
		else
			:
		fi
		;;
	health)
		case $prev in
		--mock) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-q --quick --mock -o --output --fields --no-heading -h --help --version --complete'
		else
			:
		fi
		;;
	*)
		case $prev in
		--mock) :; return ;;
		-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
		--fields) :; return ;;
		--complete) _zn_reply -W 'bash zsh fish'; return ;;
		esac
		if [[ $cur == -* ]]; then
			_zn_reply -W '-q --quick --mock -o --output --fields --no-heading -h --help --version --complete'
		else
			_zn_reply -W 'list watch health'
		fi
		;;
	esac
}
complete -F _zn_gpu zn-gpu
