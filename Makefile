# Everyday commands. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
GO ?= go
BIN ?= bin
PREFIX ?= /usr/local
TASKS := $(patsubst tasks/%/main.go,%,$(wildcard tasks/*/main.go))
# Static binaries that come out the same on every machine. A Task's identity is the
# SHA-256 of its executable, so only motte and motte-core name the commit.
BUILD := CGO_ENABLED=0 $(GO) build -trimpath -ldflags=-buildid=
# An archive that lies in another repository must not be named by the commit of that one.
STAMP := -buildvcs=$(if $(filter $(CURDIR),$(shell git rev-parse --verify --quiet HEAD >/dev/null 2>&1 && git rev-parse --show-toplevel)),true,false)

.PHONY: help build install release demo test test-long lint bench bench-tasks bench-shelf bench-peers sim kills cuts linear damage fuzz cover clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## build motte, motte-core and the Tasks into bin/
	@mkdir -p $(BIN)
	$(BUILD) $(STAMP) -o $(BIN)/motte ./cmd/motte
	$(BUILD) $(STAMP) -o $(BIN)/motte-core ./cmd/motte-core
	@for t in $(TASKS); do $(BUILD) -buildvcs=false -o $(BIN)/motte-task-$$t ./tasks/$$t || exit 1; done

install: build ## install them into $(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 0755 $(BIN)/motte $(BIN)/motte-core $(foreach t,$(TASKS),$(BIN)/motte-task-$(t)) $(DESTDIR)$(PREFIX)/bin

DIST ?= dist
# The toolchain decides how the archive is compressed, too.
release: ## make the archive of the commit into $(DIST)/, and print the measurements
	@GOTOOLCHAIN=$$(sed -n 's/^toolchain //p' go.mod) $(GO) run ./internal/release -go $(GO) -out $(DIST)

demo: build ## show everything on a real data set, in a temporary directory
	@$(GO) run ./demo -bin $(BIN)

# Four packages at a time: some of them wait more than they work.
test: build lint ## run all tests, with the race detector; the inner loop is 'go test -short ./...'
	$(GO) test -race -count=1 -p 4 -timeout 15m ./...
	$(GO) test -count=1 -run TestShippedTasksConform ./sdk/conformance
	$(GO) test -C bench/peers -race -count=1 ./...

# One after the other, also under make -j: each loads all processors.
test-long: ## run sim, cuts, kills, linear, damage and fuzz, each as long as its own variables say
	@set -e; for t in sim cuts kills linear damage fuzz; do $(MAKE) --no-print-directory $$t; done

lint: ## formatting, vet, staticcheck, known vulnerabilities
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	cd bench/peers && $(GO) vet ./... && $(GO) tool -modfile=../../tools/go.mod staticcheck ./...
	@GO="$(GO)" tools/vulncheck

bench: build ## measure, beside peers in the same run
	$(GO) run ./bench -bin $(BIN)

bench-shelf: build ## measure starts of an index of ten million entries, which takes ten minutes
	$(GO) run ./bench -bin $(BIN) -entries 10000000 -only '^(START|SHELF)'

bench-tasks: ## measure one index as a Task in Go, C, Rust and WebAssembly
	$(GO) test ./test/authors -run '^$$' -bench ExactTasks -benchtime 1x -timeout 30m

PEERS ?= -for 5m
bench-peers: build ## install PostgreSQL and Redis, and measure beside them, with the flags PEERS
	bench/peers/install
	$(GO) build -C bench/peers -o $(abspath $(BIN))/motte-bench-peers .
	$(BIN)/motte-bench-peers -bin $(BIN) $(PEERS)

FOR ?= 10m
FIRST ?= $(shell date +%s)
sim: ## run a whole Core, and the engine alone, through random histories for FOR, from seed FIRST
	$(GO) test ./core/server -v -count=1 -timeout 0 -run 'TestSimulatedHistories$$' -sim.first=$(FIRST) -sim.for=$(FOR) | grep -v -e '^=== ' -e '--- PASS: .*/'
	$(GO) test ./core/engine -count=1 -timeout 0 -run TestRandomHistories -sim.first=$(FIRST) -sim.seeds=20000
	$(GO) test ./core/server -count=1 -timeout 0 -run 'TestSimulatedDisturbances|TestACrowdHoldsUpNobody' -sim.first=$(FIRST) -sim.seeds=500 -crowd.seeds=50

KILLS ?= 100
kills: ## kill a loaded server KILLS times, and account for every write
	$(GO) test ./test/robustness -v -timeout 0 -count=1 -run TestAcknowledgedWritesSurvive -kills=$(KILLS)

linear: ## record and check concurrent histories for FOR
	$(GO) test ./test/robustness -v -timeout 0 -count=1 -run TestHistoriesAreLinearizable -linear.for=$(FOR)

CUTS ?= 200
cuts: ## cut the power CUTS times: of a loaded server, of its chores and its starts; account for every write
	$(GO) test ./test/crashfs -v -timeout 0 -count=1 -run 'SurvivePowerCuts|TestWhatKilledServersLeave' -lossy.cuts=$(CUTS)

DAMAGES ?= 500
BACKUPS ?= 40
damage: ## damage DAMAGES stores and salvage them, and restore BACKUPS backups of a busy server
	$(GO) test ./storetool -v -timeout 0 -count=1 -run 'TestDamageCostsWhatLayThere|TestBackupsOfABusyServer' -damages=$(DAMAGES) -backups=$(BACKUPS)

FUZZTIME ?= 20s
fuzz: ## fuzz every decoder for FUZZTIME
	@set -e; for p in $$($(GO) list ./...); do \
	  list=$$($(GO) test -list '^Fuzz' $$p); \
	  for f in $$(grep '^Fuzz' <<<"$$list" || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; done; done

cover: ## coverage of all packages
	$(GO) test -coverprofile=cover.out -coverpkg=./... ./... && $(GO) tool cover -func=cover.out | tail -1

clean: ## remove what was built
	rm -rf $(BIN) $(DIST) cover.out
