# hedgerow. `make help` lists the targets; docs/CONTRIBUTING.md tells how to work with them.

# --- settings ------------------------------------------------------------------------------------

SAN    ?=#        address,undefined or thread: sanitizer build in a folder of its own
DEBUG  ?=#        1: no optimisation, debug checks
COVER  ?=#        1: counters for gcov
BUILD  ?= build#  where everything but the libraries is made
export BUILD
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
BASE := $(WARN) $(HARD) $(DEFS) -ffile-prefix-map=$(CURDIR)=. -pthread -g

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
             $$1 == "shown" { print "all:" n } \
             $$1 == "folders" { for (i = 2; i <= NF; i++) print $$i ":" n }' vendor/manifest)
LIBS := $(addprefix $(V)/,$(shell awk '/^\[/ { n = substr($$1, 2, length($$1) - 2) } \
             $$1 == "archive" { for (i = 2; i <= NF; i++) print n "/lib/" $$i } \
             $$1 == "compile" { print n "/lib/lib" n ".a" }' vendor/manifest))
VINC := $(patsubst %,-isystem $(V)/%/include,$(sort $(foreach u,$(USES),$(lastword $(subst :, ,$u)))))
# A folder sees its own libraries and those that appear in headers of other folders ("all").
vinc  = $(foreach u,$(filter $1:% all:%,$(USES)),-isystem $(V)/$(lastword $(subst :, ,$u))/include)
folder = $(firstword $(subst /, ,$1))

$(V)/stamp: vendor/manifest $(wildcard vendor/patches/*) | scripts/vendor.sh
	@scripts/deps.sh run
	@scripts/vendor.sh
	@touch $@

# --- embedded files ------------------------------------------------------------------------------

# `#include "store/migrations/0001_init.sql.inc"` gives the bytes of that file as a list of numbers:
#     static const char init_sql[] = {
#     #include "store/migrations/0001_init.sql.inc"
#         0};
EMBED := $(patsubst src/%,$(GEN)/%.inc,$(wildcard src/*/*.sql src/*/*/*.sql)) \
         $(addprefix $(GEN)/web/,$(addsuffix .gz.inc,index.html page.js page.css icon.svg) login.html.inc) \
         $(patsubst %,$(GEN)/%.inc,$(wildcard tests/unit/*/*.js))

embed = @mkdir -p $(@D) && od -An -v -tu1 $< | sed 's/\([0-9][0-9]*\)/\1,/g' >$@
$(GEN)/web/%.inc: web/%
	$(embed)
$(GEN)/web/%.inc: $(GEN)/web/%
	$(embed)
$(GEN)/%.inc: src/%
	$(embed)
$(GEN)/tests/%.inc: tests/%
	$(embed)
pack = @mkdir -p $(@D) && gzip -9 -n <$< >$@
$(GEN)/web/%.gz: web/%
	$(pack)
$(GEN)/web/%.gz: $(GEN)/web/%
	$(pack)

# The page: one bundle of web/src and the npm packages of web/package-lock.json.
$(GEN)/web/page.js $(GEN)/web/page.css &: $(wildcard web/src/*) web/node_modules/.installed
	@mkdir -p $(@D) && echo "  JS web/src/main.js"
	@web/node_modules/.bin/esbuild web/src/main.js --bundle --minify --format=iife --target=es2021 \
	    --loader:.js=jsx --jsx=automatic --jsx-import-source=preact --legal-comments=none \
	    --log-level=warning --outfile=$(GEN)/web/page.js
	@touch $(GEN)/web/page.js $(GEN)/web/page.css
web/node_modules/.installed: web/package-lock.json | $(V)/stamp
	@scripts/deps.sh web

# --- program -------------------------------------------------------------------------------------

.PHONY: all
all: $(BIN)

compile = @mkdir -p $(@D) && echo "  CC $<" && $1 $(BASE) -Isrc -I$(GEN) -MMD -MP -c -o $@ $<

$(O)/obj/%.o: src/%.c Makefile VERSION $(V)/stamp | $(EMBED)
	$(call compile,$(CC) $(OPT) $(call vinc,$(call folder,$*)) $(CFLAGS))

$(BIN): $(OBJ)
	@echo "  LD $@" && $(CC) $(LINK) $(LDFLAGS) -o $@ $(OBJ) -Wl,--start-group $(LIBS) -Wl,--end-group -lm

# The country database goes to the program unless MMDB_FILE_LOCATION is set (even if to nothing).
COUNTRIES := $(V)/geoip-country/geo-whois-asn-country.mmdb

.PHONY: run
run:
	@scripts/deps.sh run
	@$(MAKE) --no-print-directory all
	@if [ -z "$${MMDB_FILE_LOCATION+set}" ]; then \
	    if scripts/vendor.sh run; then export MMDB_FILE_LOCATION=$(COUNTRIES); \
	    else echo "run: GeoIP is off without a database, see above; everything else works" >&2; fi; \
	fi; DATA_DIR="$${DATA_DIR:-./data}" exec $(BIN)

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

# Runs the test driver even after a failed build: it counts that as a failed test.
.PHONY: unit-build unit scenario clients page integration test screenshots
driver  = python3 tests/lib/run.py --out $(O) --fuzz $(FUZZ) --shims $(BUILD)/crash --node $(NODE) --jobs $(JOBS) \
          $(if $(SAN),--san $(SAN))
submake = -s --no-print-directory -k
unit-build: $(UNITS)
unit:
	@scripts/deps.sh test
	@status=0; $(MAKE) $(submake) unit-build || status=$$?; \
	    $(driver) --build-status $$status $(if $T,--only $T) unit
scenario clients page integration:
	@scripts/deps.sh $(if $(filter integration,$@),$@,test)
	@status=0; $(MAKE) $(submake) all $(TEST)/hedgerow torture-build || status=$$?; \
	    $(driver) --build-status $$status $(if $S,--only $S) $@
test:
	@scripts/deps.sh test
	@status=0; $(MAKE) $(submake) all unit-build $(TEST)/hedgerow torture-build \
	        $(if $(SAN),,fuzz-build lint-build) || status=$$?; \
	    $(driver) --build-status $$status $(if $(SAN),,lint) unit $(if $(SAN),,fuzz) scenario clients page

# The pictures in docs/images, from the real program with events that a script sends.
screenshots:
	@scripts/deps.sh test
	@$(MAKE) $(submake) all
	@HEDGEROW_BIN=$(abspath $(BIN)) $(NODE) tests/page/screenshots.js

# --- fuzzing -------------------------------------------------------------------------------------

FOPT  := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -DHEDGEROW_TEST=1 -DHEDGEROW_DEBUG=1
FUZZS := $(patsubst tests/fuzz/%.c,$(FUZZ)/%,$(wildcard tests/fuzz/fuzz_*.c))
FOBJ  := $(LIBC:src/%.c=$(FUZZ)/obj/%.o)

$(FUZZ)/obj/%.o: src/%.c Makefile VERSION $(V)/stamp | $(EMBED)
	$(call compile,clang $(FOPT) -fsanitize=fuzzer-no-link $(call vinc,$(call folder,$*)))
$(FUZZ)/all.a: $(FOBJ)
	$(archive)
$(FUZZ)/fuzz_%: tests/fuzz/fuzz_%.c Makefile $(FUZZ)/all.a
	@mkdir -p $(@D) && echo "  CC $<"
	@clang $(BASE) $(FOPT) -fsanitize=fuzzer $(TINC) -MMD -MP -MF $@.d -o $@ $< \
	    $(call group,$(FUZZ)/all.a) -lm

.PHONY: fuzz fuzz-build
fuzz-build: $(FUZZS)
fuzz: $(FUZZ)/fuzz_$F
	@test -n "$F" || { echo "usage: make fuzz F=record [SECONDS=600]"; exit 2; }
	@mkdir -p $(FUZZ)/$F && $< -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 \
	    -artifact_prefix=$(FUZZ)/$F/crash- $(FUZZ)/$F $(wildcard tests/fuzz/corpus/$F)

# --- bench and torture ---------------------------------------------------------------------------

BENCHES := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
SHIMS   := $(patsubst tests/crash/%.c,$(BUILD)/crash/%.so,$(wildcard tests/crash/*.c))
TESTENV := HEDGEROW_BIN=$(abspath $(BIN)) HEDGEROW_TEST_BIN=$(abspath $(TEST)/hedgerow)

$(BUILD)/bench/%: tests/bench/%.c Makefile $(OBJ)
	@mkdir -p $(@D) && echo "  CC $<"
	@$(CC) $(BASE) $(OPT) $(TINC) -MMD -MP -MF $@.d $(LINK) -o $@ $< \
	    $(call group,$(filter-out $(O)/obj/main.o,$(OBJ))) -lm
$(BUILD)/crash/%.so: tests/crash/%.c Makefile
	@mkdir -p $(@D) && echo "  CC $<"
	@$(CC) $(WARN) $(DEFS) -O2 -g -fPIC -shared -o $@ $< -ldl

.PHONY: bench torture
bench:
	@scripts/deps.sh bench
	@$(MAKE) $(submake) all bench-build
	@$(TESTENV) BENCH_DIR=$(abspath $(BUILD)/bench) $(NODE) tests/bench/bench.js $B
torture:
	@scripts/deps.sh test
	@$(MAKE) $(submake) all $(TEST)/hedgerow torture-build
	@$(TESTENV) SHIM_DIR=$(abspath $(BUILD)/crash) CYCLES=$(CYCLES) $(NODE) tests/crash/torture.js
.PHONY: bench-build torture-build
bench-build: $(BENCHES)
torture-build: $(SHIMS)

# --- tools ---------------------------------------------------------------------------------------

C_FILES := $(SRC) $(HDR) $(wildcard tests/lib/*.[ch] tests/unit/*/*.[ch] tests/unit/*/*/*.[ch] \
           tests/fuzz/*.[ch] tests/bench/*.[ch] tests/crash/*.[ch])
STEPS   := layers globals tidy format headers
HEADERS := $(HDR:src/%=$(BUILD)/headers/%.ok)

.PHONY: lint lint-build headers fmt cover sbom dist $(STEPS:%=lint-%)
lint:
	@scripts/deps.sh test
	@status=0; $(MAKE) $(submake) lint-build || status=$$?; $(driver) --build-status $$status lint
lint-build: $(OBJ)
lint-layers:
	@python3 scripts/layers.py
lint-globals: lint-build
	@python3 scripts/globals.py $(O)/obj
lint-tidy:
	@python3 scripts/tidy.py
lint-format:
	@out=$$(clang-format --dry-run -Werror $(C_FILES) 2>&1 </dev/null) || { echo "$$out" | sort -t: -uk1,1 | \
	    sed -n 's/^\([^:]*:[0-9]*\):.*error:.*/\1: layout is not as clang-format has it, run: make fmt/p'; exit 1; }
lint-headers headers: $(HEADERS)
$(BUILD)/headers/%.ok: src/% Makefile $(V)/stamp
	@mkdir -p $(@D) && echo '#include "$*"' | $(CC) $(BASE) -Werror -Isrc -I$(GEN) \
	    $(call vinc,$(call folder,$*)) -MMD -MP -MT $@ -MF $@.d -fsyntax-only -x c - && touch $@
fmt:
	@$(if $(C_FILES),clang-format -i $(C_FILES))
cover:
	@scripts/deps.sh test
	@$(MAKE) $(submake) COVER=1 unit-build
	@find build/cover -name '*.gcda' -delete
	@python3 tests/lib/run.py --out build/cover --jobs $(JOBS) unit | grep -v '^ok '
	@scripts/cover.sh build/cover
sbom: $(BUILD)/sbom.cdx.json
$(BUILD)/sbom.cdx.json: vendor/manifest web/package-lock.json VERSION scripts/sbom.py
	@mkdir -p $(@D) && python3 scripts/sbom.py vendor/manifest web/package-lock.json $(VERSION) >$@

# The notices of the libraries inside the binary: they go wherever it goes.
$(BUILD)/THIRD_PARTY_LICENSES: vendor/manifest scripts/vendor.sh web/node_modules/.installed
	@mkdir -p $(@D) && scripts/vendor.sh licenses >$@

DIST := hedgerow-$(VERSION)-$(shell uname -sm | tr 'A-Z ' 'a-z-')
dist: $(BIN) $(BUILD)/sbom.cdx.json $(BUILD)/THIRD_PARTY_LICENSES
	@rm -rf $(BUILD)/dist && mkdir -p $(BUILD)/dist/$(DIST)
	@cp $(wildcard README.md) LICENSE $(BUILD)/sbom.cdx.json $(BUILD)/THIRD_PARTY_LICENSES $(BUILD)/dist/$(DIST)
	@strip -o $(BUILD)/dist/$(DIST)/hedgerow $(BIN)
	@tar -C $(BUILD)/dist --sort=name --owner=0 --group=0 --numeric-owner --mtime='@0' \
	    -czf $(BUILD)/dist/$(DIST).tar.gz $(DIST)
	@echo $(BUILD)/dist/$(DIST).tar.gz

.PHONY: help clean distclean
help:
	@sed -n 's/^#: //p' Makefile
#: make               build/hedgerow
#: make run           install what is missing, build, start on ./data
#: make test          lint, unit tests, fuzz corpora, scenarios, client libraries, the page in Chromium
#: make unit T=ring   unit tests (of one folder)
#: make scenario S=x  scenario tests (of one name); clients, page and integration likewise
#: make fuzz F=record SECONDS=600   look for inputs that break a parser
#: make bench B=capture             measure;  make torture CYCLES=20   kill and compare
#: make lint           layers, globals, small rules, layout, headers;  make fmt mends the layout
#: make screenshots   docs/images
#: make cover, sbom, dist, headers, clean, distclean
#: SAN=address,undefined  SAN=thread  DEBUG=1   build variants, each in its own folder of build/
clean:
	@[ ! -d $(BUILD) ] || find $(BUILD) -mindepth 1 -maxdepth 1 ! -name vendor ! -name node -exec rm -rf {} +
distclean:
	@rm -rf build tests/node_modules web/node_modules

-include $(OBJ:.o=.d) $(LIBC:src/%.c=$(TEST)/obj/%.d) $(AIDS:.o=.d) $(UNITS:=.d) $(FOBJ:.o=.d) \
         $(FUZZS:=.d) $(BENCHES:=.d) $(HEADERS:=.d)
