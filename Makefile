# hedgerow. `make help` lists the targets; docs/CONTRIBUTING.md tells how to work with them.

# --- settings ------------------------------------------------------------------------------------

SAN    ?=#        address,undefined or thread: sanitizer build in a folder of its own
DEBUG  ?=#        1: no optimisation, debug checks
COVER  ?=#        1: counters for gcov
BUILD  ?= build#  where everything is made
T      ?=#        make unit T=ring: only the tests in tests/unit/ring
S      ?=#        make scenario S=name, make clients S=name: only files with that name
F      ?=#        make fuzz F=record
B      ?=#        make bench B=capture
CYCLES ?= 20#     make torture
ifeq ($(origin SECONDS),undefined)
SECONDS := 60#    make fuzz
endif

comma   := ,
VARIANT := $(if $(SAN),san-$(subst $(comma),-,$(SAN)),$(if $(DEBUG),debug,$(if $(COVER),cover)))
O       := $(BUILD)$(if $(VARIANT),/$(VARIANT))
BIN     := $(O)/hedgerow
TEST    := $(O)/test
FUZZ    := $(BUILD)/fuzz
GEN     := $(BUILD)/gen
V       := build/vendor
VERSION := $(file < VERSION)
JOBS    := $(shell nproc 2>/dev/null || echo 2)
NODE    := node
# A Node that deps.sh had to install comes before the machine's own.
export PATH := $(CURDIR)/build/node/node_modules/.bin:$(PATH)

MAKEFLAGS += --no-builtin-rules $(if $(filter 0,$(MAKELEVEL)),-j$(JOBS))
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.SECONDEXPANSION:
.DEFAULT_GOAL := all

# --- flags ---------------------------------------------------------------------------------------

WARN := -std=c11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
        -Wwrite-strings -Wformat=2 -Wcast-qual -Wvla -Wundef -Wimplicit-fallthrough
HARD := -fno-common -fstack-protector-strong -fPIE -ffunction-sections -fdata-sections
FORT := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
DEFS := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DHEDGEROW_VERSION='"$(VERSION)"'
BASE := $(WARN) $(HARD) $(DEFS) -ffile-prefix-map=$(CURDIR)/= -pthread -g

ifneq ($(SAN),)
OPT := -O1 -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all -DHEDGEROW_DEBUG=1
else ifneq ($(DEBUG),)
OPT := -O0 -DHEDGEROW_DEBUG=1
else ifneq ($(COVER),)
OPT := -O0 --coverage
else
OPT := -O2 $(FORT)
endif
# Test objects: fault points are compiled in, warnings are errors.
TOPT := $(if $(VARIANT),$(OPT),-O1 $(FORT)) -DHEDGEROW_TEST=1 -DHEDGEROW_DEBUG=1 -Werror
ifeq ($(CI),true)
OPT += -Werror
endif
LINK := -pie -pthread -Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--as-needed \
        $(if $(SAN),-fsanitize=$(SAN)) $(if $(COVER),--coverage)

# --- sources -------------------------------------------------------------------------------------

SRC  := $(wildcard src/*.c src/*/*.c src/*/*/*.c src/*/*/*/*.c)
HDR  := $(wildcard src/*/*.h src/*/*/*.h src/*/*/*/*.h)
LIBC := $(filter-out src/main.c,$(SRC))
DIRS := $(sort $(foreach f,$(LIBC),$(word 2,$(subst /, ,$f))))
OBJ  := $(SRC:src/%.c=$(O)/obj/%.o)

# src/LAYERS as words "ring:base": ring may use base. Unit tests link what their folder may use.
ALLOW := $(shell awk '{ for (i = 1; i <= NF; i++) { print $$i ":" $$i; \
             for (k = 1; k <= n; k++) print $$i ":" seen[k] } } \
             { for (i = 1; i <= NF; i++) seen[++n] = $$i }' src/LAYERS)
below = $(filter $(or $(patsubst $1:%,%,$(filter $1:%,$(ALLOW))),$(DIRS)),$(DIRS))

# --- vendored libraries --------------------------------------------------------------------------

# vendor/manifest as words "db:sqlite" (folder db may include sqlite) and "sqlite/lib/libsqlite3.a".
USES := $(shell awk '/^\[/ { n = substr($$1, 2, length($$1) - 2) } \
             $$1 == "folders" { for (i = 2; i <= NF; i++) print $$i ":" n }' vendor/manifest)
LIBS := $(addprefix $(V)/,$(shell awk '/^\[/ { n = substr($$1, 2, length($$1) - 2) } \
             $$1 == "archive" { for (i = 2; i <= NF; i++) print n "/lib/" $$i } \
             $$1 == "compile" { print n "/lib/lib" n ".a" }' vendor/manifest))
VINC := $(patsubst %,-isystem $(V)/%/include,$(sort $(foreach u,$(USES),$(lastword $(subst :, ,$u)))))
vinc  = $(patsubst $1:%,-isystem $(V)/%/include,$(filter $1:%,$(USES)))
folder = $(firstword $(subst /, ,$1))

$(V)/stamp: vendor/manifest | scripts/vendor.sh
	@scripts/deps.sh run
	@scripts/vendor.sh
	@touch $@

# --- embedded files ------------------------------------------------------------------------------

# `#include "store/migrations/0001_init.sql.inc"` gives the bytes of that file as a list of numbers:
#     static const char init_sql[] = {
#     #include "store/migrations/0001_init.sql.inc"
#         0};
EMBED := $(patsubst src/%,$(GEN)/%.inc,$(wildcard src/*/*.sql src/*/*/*.sql)) \
         $(patsubst %,$(GEN)/%.inc,$(wildcard web/*.html web/*.css web/*.js web/*.svg web/src/*.js))

embed = @mkdir -p $(@D) && od -An -v -tu1 $< | sed 's/\([0-9][0-9]*\)/\1,/g' >$@
$(GEN)/web/%.inc: web/%
	$(embed)
$(GEN)/%.inc: src/%
	$(embed)

# --- program -------------------------------------------------------------------------------------

.PHONY: all
all: $(BIN)

compile = @mkdir -p $(@D) && echo "  CC $<" && $1 $(BASE) -Isrc -I$(GEN) -MMD -MP -c -o $@ $<

$(O)/obj/%.o: src/%.c Makefile VERSION $(V)/stamp | $(EMBED)
	$(call compile,$(CC) $(OPT) $(call vinc,$(call folder,$*)) $(CFLAGS))

$(BIN): $(OBJ)
	@echo "  LD $@" && $(CC) $(LINK) $(LDFLAGS) -o $@ $(OBJ) -Wl,--start-group $(LIBS) -Wl,--end-group -lm

.PHONY: run
run:
	@scripts/deps.sh run
	@$(MAKE) --no-print-directory all
	@DATA_DIR="$${DATA_DIR:-./data}" exec $(BIN)

# --- tests ---------------------------------------------------------------------------------------

UNIT  := $(wildcard tests/unit/$(or $T,*)/test_*.c tests/unit/$(or $T,*)/*/test_*.c)
UNITS := $(UNIT:tests/unit/%.c=$(TEST)/unit/%)
AIDS  := $(patsubst tests/%.c,$(TEST)/obj/tests/%.o,$(wildcard tests/lib/*.c))
TINC  := -Isrc -I$(GEN) -Itests -Itests/lib $(VINC)
group = -Wl,--start-group $1 $(LIBS) -Wl,--end-group

$(TEST)/obj/tests/%.o: tests/%.c Makefile $(V)/stamp | $(EMBED)
	$(call compile,$(CC) $(TOPT) $(TINC) $(CFLAGS))

$(TEST)/obj/%.o: src/%.c Makefile VERSION $(V)/stamp | $(EMBED)
	$(call compile,$(CC) $(TOPT) $(call vinc,$(call folder,$*)) $(CFLAGS))

# One archive per folder of src/: a test that includes the .c under test does not clash, because
# the linker takes only members that are still missing.
archive = @mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^
test_objs = $(patsubst src/%.c,$(TEST)/obj/%.o,$(filter src/$1/%,$(LIBC)))
$(TEST)/lib/%.a: $$(call test_objs,$$*)
	$(archive)
$(TEST)/aids.a: $(AIDS)
	$(archive)

unit_libs = $(TEST)/aids.a $(patsubst %,$(TEST)/lib/%.a,$(call below,$(call folder,$1)))
$(TEST)/unit/%: tests/unit/%.c Makefile $(V)/stamp $$(call unit_libs,$$*) | $(EMBED)
	@mkdir -p $(@D) && echo "  CC $<"
	@$(CC) $(BASE) $(TOPT) $(TINC) $(CFLAGS) -MMD -MP -MF $@.d $(LINK) $(LDFLAGS) -o $@ $< \
	    $(call group,$(call unit_libs,$*)) -lcmocka -lm

# The program with fault points, for crash tests.
$(TEST)/hedgerow: $(TEST)/obj/main.o $(patsubst %,$(TEST)/lib/%.a,$(DIRS))
	@echo "  LD $@" && $(CC) $(LINK) $(LDFLAGS) -o $@ $< $(call group,$(filter %.a,$^)) -lm

.PHONY: unit-build unit scenario clients integration test
unit-build: $(UNITS)

# Runs the test driver even after a failed build: it counts that as a failed test.
driver = python3 tests/lib/run.py --out $(O) --node $(NODE) --jobs $(JOBS) $(if $(SAN),--san $(SAN))
submake = -s --no-print-directory -k
unit:
	@scripts/deps.sh test
	@status=0; $(MAKE) $(submake) unit-build || status=$$?; \
	    $(driver) --build-status $$status $(if $T,--only $T) unit
scenario clients:
	@scripts/deps.sh test
	@status=0; $(MAKE) $(submake) all || status=$$?; \
	    $(driver) --build-status $$status $(if $S,--only $S) $@

-include $(OBJ:.o=.d) $(LIBC:src/%.c=$(TEST)/obj/%.d) $(AIDS:.o=.d) $(UNITS:=.d)

.PHONY: clean distclean
clean:
	@find $(BUILD) -mindepth 1 -maxdepth 1 ! -name vendor ! -name node -exec rm -rf {} +
distclean:
	@rm -rf build node_modules tests/node_modules
