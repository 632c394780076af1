# Zenith: the whole build. Objects go to $(B); a new file in lib/ROOM/ or cmd/ needs no edit here.
#
#   make [V=1] [B=build] [SAN=address,undefined] [CC=clang] [PREFIX=/usr/local] [DESTDIR=] [STATIC=]
#   make check      unit tests, then what a user sees (bats)
#   make bench      the figures we claim, measured here
#   make install    programs, library, header, manual, completions, units (enables and starts nothing)
#   make uninstall  removes what it put there (stops nothing, and leaves spools and configuration)
-include config.mak

VERSION := 0.1.0
PREFIX  ?= /usr/local
bindir  ?= $(PREFIX)/bin
libdir  ?= $(PREFIX)/lib
incdir  ?= $(PREFIX)/include
mandir  ?= $(PREFIX)/share/man
sharedir ?= $(PREFIX)/share
# where systemd looks: always below lib, whatever libdir is
unitdir  ?= $(PREFIX)/lib/systemd/system

SAN     ?=
comma   := ,
B       ?= build$(if $(SAN),/$(subst $(comma),-,$(SAN)))
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla
WERROR  ?=
# msgpack-c's module changed its name between releases.
msgpack := $(if $(shell pkg-config --exists msgpack-c && echo y),msgpack-c,msgpack)
# What it can do without; each program says what it was built with.  ZN_WITH_LIBURING and the like tell the code.
optional := $(foreach m,liburing libarchive libcurl libjpeg libpng,$(shell pkg-config --exists $m && echo $m))
with    := $(foreach m,$(optional),-DZN_WITH_$(shell echo $m | tr a-z- A-Z_))
pc      := hwloc $(msgpack) libevent libevent_pthreads jansson inih libcrypto zlib pam $(optional)
pc_cflags := $(shell pkg-config --cflags $(pc))
pc_libs   := $(shell pkg-config --libs $(pc))
ifeq ($(strip $(pc_libs)),)
$(error the libraries are missing: run scripts/deps, which installs them)
endif

san     := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
all_cflags  := -std=gnu17 -D_GNU_SOURCE -DZN_VERSION='"$(VERSION)"' -Ilib $(WARN) $(WERROR) $(with) \
	-fno-strict-aliasing -pthread $(pc_cflags) $(san) $(CFLAGS) $(CPPFLAGS)
all_ldflags := -pthread -Wl,--as-needed $(san) $(LDFLAGS)

# What is started for each job, or looked at again and again, has no libraries to look for, and lies where it was linked
# to lie, so that nothing is relocated: half of a submit was that.  It is nobody's server, and runs with the rights of
# who starts it.  Where an archive is missing, or what comes out does not start (glibc's has no way with an rpath), the
# program is linked like the others; STATIC= asks for that.
STATIC  ?= zn-submit zn-queue
static  := $(if $(SAN),,$(STATIC))

lib_o := $(patsubst %.c,$B/%.o,$(sort $(wildcard lib/*/*.c)))
cmds  := $(patsubst cmd/%.c,$B/%,$(sort $(wildcard cmd/*.c)))
units := $(patsubst tests/unit/%.c,$B/tests/%,$(sort $(wildcard tests/unit/*.c)))
tools := $(patsubst tests/tools/%.c,$B/tests/%,$(sort $(wildcard tests/tools/*.c)))
fakes := $(patsubst tests/fake/%.c,$B/tests/%.so,$(sort $(wildcard tests/fake/*.c)))
q     := $(if $(V),,@)

all: $(cmds) $B/libzenith.a

$B/libzenith.a: $(lib_o)
	$(if $(V),,@echo "  AR    $@")
	$(q)rm -f $@ && $(AR) rcs $@ $^

link = $(CC) $(all_ldflags) -o $@ $^ $(pc_libs) -ldl -lm
$(cmds): $B/%: $B/cmd/%.o $B/libzenith.a
	$(if $(V),,@echo "  LD    $@")
	$(q)$(if $(filter $*,$(static)),($(link) -static -no-pie && $@ --version) >/dev/null 2>&1 ||) $(link)

$(units): $B/tests/%: $B/tests/unit/%.o $B/libzenith.a
	$(q)mkdir -p $(@D)
	$(q)$(link)

$(tools): $B/tests/%: $B/tests/tools/%.o $B/libzenith.a
	$(q)mkdir -p $(@D)
	$(q)$(link)

$B/tests/nvidia-ml-old.so: tests/fake/nvidia-ml.c
$(fakes): $B/tests/%.so: tests/fake/%.c
	$(q)mkdir -p $(@D)
	$(q)$(CC) $(filter-out -fsanitize%,$(all_cflags)) -fPIC -shared -o $@ $<

# DPDK's headers lie apart; zn-bench takes its ring from them, nothing is linked.
$B/lib/bench/ring_rte.o: all_cflags += $(patsubst -I%,-isystem %,$(shell pkg-config --cflags-only-I libdpdk 2>/dev/null))

$B/%.o: %.c
	$(if $(V),,@echo "  CC    $<")
	$(q)mkdir -p $(@D)
	$(q)$(CC) $(all_cflags) -MMD -MP -c -o $@ $<

# What scripts/fuzz runs: clang alone brings the fuzzer; gcc shall at least compile them.
fuzzed := $(patsubst tests/fuzz/%.c,$B/tests/fuzz/%,$(sort $(wildcard tests/fuzz/*.c)))
$(fuzzed): $B/tests/fuzz/%: $B/tests/fuzz/%.o $B/libzenith.a
	$(q)$(link) -fsanitize=fuzzer

has_fuzzer := $(and $(findstring clang,$(CC)),$(findstring address,$(SAN)))
tests: $(units) $(tools) $(fakes) $(if $(has_fuzzer),$(fuzzed),$(fuzzed:=.o))

check: all tests
	$(q)B=$(abspath $B) scripts/run-tests $(T)

bench: all
	$(q)B=$(abspath $B) scripts/bench-queue

# The result is committed; tests/house.bats says when it is stale.
completions: all
	$(q)for c in $(notdir $(cmds)); do \
		$B/$$c --complete=bash > completions/$$c.bash && \
		$B/$$c --complete=zsh  > completions/_$$c && \
		$B/$$c --complete=fish > completions/$$c.fish || exit 1; done

install: all
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(incdir)
	install -m 755 $(cmds) $(DESTDIR)$(bindir)
	install -m 644 $B/libzenith.a $(DESTDIR)$(libdir)
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(libdir:$(PREFIX)/%=$${prefix}/%)' \
		'includedir=$(incdir:$(PREFIX)/%=$${prefix}/%)' '' \
		'Name: zenith' 'Description: Placement, queue and records for GPU machines' \
		'Version: $(VERSION)' 'Requires: $(pc)' \
		'Libs: -L$${libdir} -lzenith -ldl -lm -pthread' \
		'Cflags: -I$${includedir}' > $(DESTDIR)$(libdir)/pkgconfig/zenith.pc
	install -m 644 lib/zenith.h $(DESTDIR)$(incdir)
	for s in 1 5 7 8; do for m in man/*.$$s; do [ -e $$m ] || continue; \
		install -D -m 644 $$m $(DESTDIR)$(mandir)/man$$s/$${m##*/} || exit 1; done; done
	install -d $(DESTDIR)$(sharedir)/bash-completion/completions \
		$(DESTDIR)$(sharedir)/zsh/site-functions $(DESTDIR)$(sharedir)/fish/vendor_completions.d
	install -d $(DESTDIR)$(unitdir) $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
	for u in zn-noded zn-schedd; do \
		sed 's|@bindir@|$(bindir)|' systemd/$$u.service.in > $(DESTDIR)$(unitdir)/$$u.service || exit 1; done
	install -m 644 systemd/zenith.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/zenith.conf
	install -m 644 systemd/zenith.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/zenith.conf
	install -D -m 644 systemd/zenith.pam $(DESTDIR)$(sharedir)/doc/zenith/zenith.pam
	for c in $(notdir $(cmds)); do \
		install -m 644 completions/$$c.bash $(DESTDIR)$(sharedir)/bash-completion/completions/$$c && \
		install -m 644 completions/_$$c $(DESTDIR)$(sharedir)/zsh/site-functions/_$$c && \
		install -m 644 completions/$$c.fish $(DESTDIR)$(sharedir)/fish/vendor_completions.d/$$c.fish || exit 1; done

# Given the variables of the install.  Directories stay: others may have put something there.
uninstall:
	rm -f $(addprefix $(DESTDIR)$(bindir)/,$(notdir $(cmds))) \
		$(DESTDIR)$(libdir)/libzenith.a $(DESTDIR)$(libdir)/pkgconfig/zenith.pc $(DESTDIR)$(incdir)/zenith.h \
		$(foreach m,$(notdir $(wildcard man/*)),$(DESTDIR)$(mandir)/man$(subst .,,$(suffix $m))/$m) \
		$(addprefix $(DESTDIR)$(unitdir)/,zn-noded.service zn-schedd.service) \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/zenith.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/zenith.conf \
		$(foreach c,$(notdir $(cmds)),$(DESTDIR)$(sharedir)/bash-completion/completions/$c \
			$(DESTDIR)$(sharedir)/zsh/site-functions/_$c $(DESTDIR)$(sharedir)/fish/vendor_completions.d/$c.fish) \
		$(DESTDIR)$(sharedir)/doc/zenith/zenith.pam

clean:
	rm -rf $B

.PHONY: all tests check bench completions install uninstall clean
.SECONDARY:
-include $(lib_o:.o=.d) $(patsubst cmd/%.c,$B/cmd/%.d,$(wildcard cmd/*.c)) \
	$(patsubst tests/unit/%.c,$B/tests/unit/%.d,$(wildcard tests/unit/*.c)) \
	$(patsubst tests/tools/%.c,$B/tests/tools/%.d,$(wildcard tests/tools/*.c))
