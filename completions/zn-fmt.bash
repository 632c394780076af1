# shellcheck shell=bash
# Completion of zn-fmt, printed by zn-fmt --complete=bash.
_zn_reply() { mapfile -t COMPREPLY < <(compgen "$@" -- "$cur"); }

_zn_fmt()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $prev in
	-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
	--fields) :; return ;;
	--select) :; return ;;
	-w|--where) :; return ;;
	-s|--sort) :; return ;;
	--head) :; return ;;
	--tail) :; return ;;
	--complete) _zn_reply -W 'bash zsh fish'; return ;;
	esac
	if [[ $cur == -* ]]; then
		_zn_reply -W '-o --output --fields --no-heading --select -w --where -s --sort --head --tail -l --live -h --help --version --complete'
	else
		compopt -o filenames; _zn_reply -f
	fi
}
complete -F _zn_fmt zn-fmt
