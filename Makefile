# What can be done here. `make` alone prints this list.
# Programs that only tests need are installed by `make parts` and pinned in tools/lint/go.mod and tools/npm.

GO  ?= go
BIN := build/bin
# The time of each fuzz target under `make fuzz`.
FUZZTIME ?= 15s

.DEFAULT_GOAL := help
.PHONY: help build check test short race cross fuzz soak bench mutants lint fmt demo parts release clean

help: ## print this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

build: ## build/gatehouse, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o build/gatehouse .

check: ## what one runs before a commit: format, vet, lint, architecture, short tests
	@bash tools/suites.sh fmt vet lint short

test: ## install what the tests need, then run everything
	@bash tools/parts.sh
	@bash tools/suites.sh fmt vet windows darwin lint vuln unit breakable replicas demo

short: ## the quick tests alone
	@bash tools/suites.sh short

race: ## the short tests under the race detector (needs a C compiler)
	@bash tools/suites.sh race

cross: ## vet for the other systems that Gatehouse builds for
	@bash tools/suites.sh windows darwin

fuzz: ## every fuzz target for FUZZTIME (15s)
	@FUZZTIME=$(FUZZTIME) bash tools/suites.sh fuzz

soak: ## the long runs: kills, flips, races, clocks, idle sessions, 60 s for each fuzz target
	@bash tools/parts.sh
	@FUZZTIME=60s bash tools/suites.sh soak races idle fuzz

bench: ## measure the gate against direct calls and print the table of docs/performance.md
	$(GO) run ./bench

mutants: ## remove the lines of promise/mutants.txt one by one: each must turn its test red
	$(GO) run ./tools/mutants

lint: ## golangci-lint, as .golangci.yml says
	@bash tools/suites.sh lint

fmt: ## write all files as gofumpt wants them
	@bash tools/parts.sh go
	$(BIN)/gofumpt -w $$(git ls-files -co --exclude-standard '*.go' | grep -v /testdata/)

demo: ## a throwaway gateway and a tour of real calls; it stays up until interrupted
	$(GO) run . demo

parts: ## install what the tests need: Debian packages (as root or with sudo), npm packages, Go tools
	@bash tools/parts.sh

release: ## static binaries and Debian packages for Linux, into build/release
	@bash tools/release.sh

clean: ## remove what was built here
	rm -rf build
