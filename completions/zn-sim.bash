# shellcheck shell=bash
# Completion of zn-sim, printed by zn-sim --complete=bash.
_zn_reply() { mapfile -t COMPREPLY < <(compgen "$@" -- "$cur"); }

_zn_sim()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $prev in
	-c|--cluster) compopt -o filenames; _zn_reply -f; return ;;
	--add-nodes) :; return ;;
	-g|--gpus) :; return ;;
	--seed) :; return ;;
	-p|--policy) _zn_reply -W 'default easy fcfs sjf bestfit random'; return ;;
	--depth) :; return ;;
	--reservations) :; return ;;
	-e|--estimates) _zn_reply -W 'user exact'; return ;;
	--preempt-below) :; return ;;
	--config) compopt -o filenames; _zn_reply -f; return ;;
	--scale) :; return ;;
	--from) :; return ;;
	--to) :; return ;;
	--plot) compopt -o filenames; _zn_reply -f; return ;;
	-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
	--fields) :; return ;;
	--complete) _zn_reply -W 'bash zsh fish'; return ;;
	esac
	if [[ $cur == -* ]]; then
		_zn_reply -W '-c --cluster --add-nodes -g --gpus --flat --saturate --seed -p --policy --depth --reservations -e --estimates --priorities --preempt-below --config --fair --per-vc --scale --from --to --plot -s --summary -o --output --fields --no-heading -h --help --version --complete'
	else
		compopt -o filenames; _zn_reply -f
	fi
}
complete -F _zn_sim zn-sim
