# shellcheck shell=bash
# Completion of zn-load, printed by zn-load --complete=bash.
_zn_reply() { mapfile -t COMPREPLY < <(compgen "$@" -- "$cur"); }

_zn_load()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $prev in
	-b|--batch) :; return ;;
	--shuffle) _zn_reply -W 'all'; return ;;
	--seed) :; return ;;
	-e|--epochs) :; return ;;
	--rank) :; return ;;
	--world) :; return ;;
	--tail) _zn_reply -W 'share drop repeat'; return ;;
	--fields) :; return ;;
	--tokens) :; return ;;
	--decode) :; return ;;
	--share) compopt -o filenames; _zn_reply -f; return ;;
	--resume) compopt -o filenames; _zn_reply -f; return ;;
	--on-error) _zn_reply -W 'skip fail'; return ;;
	--max-errors) :; return ;;
	--memory) :; return ;;
	-j|--threads) :; return ;;
	--depth) :; return ;;
	--numa) _zn_reply -W 'auto none'; return ;;
	--stats-to) compopt -o filenames; _zn_reply -f; return ;;
	--complete) _zn_reply -W 'bash zsh fish'; return ;;
	esac
	if [[ $cur == -* ]]; then
		_zn_reply -W '-b --batch --shuffle --seed -e --epochs --rank --world --tail --fields --tokens --decode --arrow --share --resume --on-error --max-errors --memory -j --threads --depth --numa --direct --no-uring --no-index --stats --stats-to --progress -h --help --version --complete'
	else
		compopt -o filenames; _zn_reply -f
	fi
}
complete -F _zn_load zn-load
