# shellcheck shell=bash
# Completion of zn-pin, printed by zn-pin --complete=bash.
_zn_reply() { mapfile -t COMPREPLY < <(compgen "$@" -- "$cur"); }

_zn_pin()
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
		--complete|-g|--gpu|-N|--numa|-n|--nic|-C|--cpus|-c|--cores|-m|--mem|-p|--pid|--spread|-o|--output|--fields) [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++)); ((i++)) ;;
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
	-g|--gpu) _zn_reply -W "$(command -v zn-topo >/dev/null && zn-topo -o csv --no-heading --fields gpu 2>/dev/null | grep -x "[0-9][0-9]*" | sort -nu)"; return ;;
	-N|--numa) _zn_reply -W "$(command -v zn-topo >/dev/null && zn-topo -o csv --no-heading --fields numa 2>/dev/null | grep -x "[0-9][0-9]*" | sort -nu)"; return ;;
	-n|--nic) :; return ;;
	-C|--cpus) :; return ;;
	-c|--cores) :; return ;;
	-m|--mem) _zn_reply -W 'bind prefer interleave'; return ;;
	-p|--pid) :; return ;;
	--spread) :; return ;;
	-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
	--fields) :; return ;;
	--complete) _zn_reply -W 'bash zsh fish'; return ;;
	esac
	if [[ $cur == -* ]]; then
		_zn_reply -W '-g --gpu -N --numa -n --nic -C --cpus -c --cores -m --mem --huge -p --pid --tree --dry-run --verify --spread -o --output --fields --no-heading -h --help --version --complete'
	else
		_zn_reply -c
	fi
}
complete -F _zn_pin zn-pin
