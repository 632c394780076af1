# shellcheck shell=bash
# Completion of zn-topo, printed by zn-topo --complete=bash.
_zn_reply() { mapfile -t COMPREPLY < <(compgen "$@" -- "$cur"); }

_zn_topo()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $prev in
	-k|--kind) _zn_reply -W 'machine numa cpu gpu nic nvme link node'; return ;;
	-f|--from) compopt -o filenames; _zn_reply -f; return ;;
	--mock) :; return ;;
	-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
	--fields) :; return ;;
	--complete) _zn_reply -W 'bash zsh fish'; return ;;
	esac
	if [[ $cur == -* ]]; then
		_zn_reply -W '-m --matrix -a --audit -k --kind -f --from --mock -o --output --fields --no-heading -h --help --version --complete'
	else
		:
	fi
}
complete -F _zn_topo zn-topo
