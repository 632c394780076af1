# shellcheck shell=bash
# Completion of zn-bench, printed by zn-bench --complete=bash.
_zn_reply() { mapfile -t COMPREPLY < <(compgen "$@" -- "$cur"); }

_zn_bench()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $prev in
	-r|--rounds) :; return ;;
	--against) _zn_reply -W 'ck_ring rte_ring malloc mmap small-pages msgpack-c fio libarchive files fdatasync'; return ;;
	--compare) compopt -o filenames; _zn_reply -f; return ;;
	--wait) _zn_reply -W 'spin yield sleep'; return ;;
	--file) compopt -o filenames; _zn_reply -f; return ;;
	--size) :; return ;;
	-o|--output) _zn_reply -W 'table json csv msgpack'; return ;;
	--fields) :; return ;;
	--complete) _zn_reply -W 'bash zsh fish'; return ;;
	esac
	if [[ $cur == -* ]]; then
		_zn_reply -W '-r --rounds --against --compare --wait --file --size -o --output --fields --no-heading -h --help --version --complete'
	else
		_zn_reply -W 'list all ring latency alloc mem chase pipe record io load spool'
	fi
}
complete -F _zn_bench zn-bench
