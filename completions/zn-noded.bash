# shellcheck shell=bash
# Completion of zn-noded, printed by zn-noded --complete=bash.
_zn_reply() { mapfile -t COMPREPLY < <(compgen "$@" -- "$cur"); }

_zn_noded()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $prev in
	--spool) compopt -o filenames; _zn_reply -d; return ;;
	--node) :; return ;;
	--confine) _zn_reply -W 'auto subreaper'; return ;;
	--user) _zn_reply -u; return ;;
	--complete) _zn_reply -W 'bash zsh fish'; return ;;
	esac
	if [[ $cur == -* ]]; then
		_zn_reply -W '--spool --node --detach --attach --confine --system --user --system-accounts -h --help --version --complete'
	else
		:
	fi
}
complete -F _zn_noded zn-noded
