# shellcheck shell=bash
# Completion of zn-schedd, printed by zn-schedd --complete=bash.
_zn_reply() { mapfile -t COMPREPLY < <(compgen "$@" -- "$cur"); }

_zn_schedd()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $prev in
	--spool) compopt -o filenames; _zn_reply -d; return ;;
	--config) compopt -o filenames; _zn_reply -f; return ;;
	--nodes) compopt -o filenames; _zn_reply -f; return ;;
	--user) _zn_reply -u; return ;;
	--metrics) :; return ;;
	--complete) _zn_reply -W 'bash zsh fish'; return ;;
	esac
	if [[ $cur == -* ]]; then
		_zn_reply -W '--spool --config --nodes --detach --system --user --metrics --metrics-anywhere --stop --check-spool -h --help --version --complete'
	else
		:
	fi
}
complete -F _zn_schedd zn-schedd
