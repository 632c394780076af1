# shellcheck shell=bash
# Completion of zn-submit, printed by zn-submit --complete=bash.
_zn_reply() { mapfile -t COMPREPLY < <(compgen "$@" -- "$cur"); }

_zn_submit()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i dashes=0

	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--) dashes=1; ((i++)); break ;;
		--complete|-n|--name|-g|--gpus|--gpu-share|--gpu-mem|-c|--cpus|-m|--mem|--licences|-t|--time|-p|--priority|-A|--account|--reservation|-N|--nodes|--gpus-per-node|--tasks|--tasks-per-node|--nvlink|--near|-C|--constraint|--env|-D|--chdir|--output|--error|--begin|--every|--deadline|--array|--after|--requeue|--signal|--grace|--on-end|--mail|--mail-on|--key|--timeout|-o|--format) [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++)); ((i++)) ;;
		-*) ;;
		*) break ;;
		esac
	done
	if ((i < COMP_CWORD || dashes)); then
		if ((i == COMP_CWORD)); then _zn_reply -c
		elif declare -F _command_offset >/dev/null; then _command_offset "$i"
		else compopt -o filenames; _zn_reply -f; fi
		return
	fi
	case $prev in
	-n|--name) :; return ;;
	-g|--gpus) :; return ;;
	--gpu-share) :; return ;;
	--gpu-mem) :; return ;;
	-c|--cpus) :; return ;;
	-m|--mem) :; return ;;
	--licences) :; return ;;
	-t|--time) :; return ;;
	-p|--priority) :; return ;;
	-A|--account) :; return ;;
	--reservation) :; return ;;
	-N|--nodes) :; return ;;
	--gpus-per-node) :; return ;;
	--tasks) :; return ;;
	--tasks-per-node) :; return ;;
	--nvlink) _zn_reply -W 'require prefer'; return ;;
	--near) :; return ;;
	-C|--constraint) :; return ;;
	--env) :; return ;;
	-D|--chdir) compopt -o filenames; _zn_reply -d; return ;;
	--output) compopt -o filenames; _zn_reply -f; return ;;
	--error) compopt -o filenames; _zn_reply -f; return ;;
	--begin) :; return ;;
	--every) :; return ;;
	--deadline) :; return ;;
	--array) :; return ;;
	--after) :; return ;;
	--requeue) :; return ;;
	--signal) :; return ;;
	--grace) :; return ;;
	--on-end) :; return ;;
	--mail) :; return ;;
	--mail-on) _zn_reply -W 'end fail'; return ;;
	--key) :; return ;;
	--timeout) :; return ;;
	-o|--format) _zn_reply -W 'table json csv msgpack'; return ;;
	--complete) _zn_reply -W 'bash zsh fish'; return ;;
	esac
	if [[ $cur == -* ]]; then
		_zn_reply -W '-n --name -g --gpus --gpu-share --gpu-mem -c --cpus -m --mem --licences -t --time -p --priority -A --account --reservation -N --nodes --gpus-per-node --tasks --tasks-per-node --nvlink --pack --spread --near -C --constraint --same-switch --env -D --chdir --output --error --begin --every --deadline --array --after --hold --requeue --preemptible --signal --grace --on-end --mail --mail-on --key -w --wait -f --follow --pty --timeout --dry-run --records -o --format -h --help --version --complete'
	else
		_zn_reply -c
	fi
}
complete -F _zn_submit zn-submit
