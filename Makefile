# SPDX-License-Identifier: Apache-2.0
# make         formats, vets and tests
# make test    what CI runs: everything that must hold, with its set-up
# make help    all targets

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := all

# Modules of the workspace, and those that stay outside of it because their
# dependencies would choose other versions for everybody.
MODULES := $(shell go list -m -f '{{.Dir}}')
OUTSIDE := $(shell scripts/outside.sh)
FUZZTIME ?= 30s

.PHONY: all
all: fmt vet quick ## format, vet and test the workspace

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: fmt
fmt: ## format all Go files
	@gofmt -w $$(git ls-files '*.go')

.PHONY: quick
quick: ## test the workspace, without servers and without the race detector
	go test work

.PHONY: test
test: setup check-fmt vet tidy-diff ## everything that must hold
	go test work
	@# What holds in real time is held above: here it would be the race detector that is measured.
	go test -race -short -timeout 20m work
	go test -race ./metrics ./resilience/ratelimit/redislimit # with their servers
	@for m in $(OUTSIDE); do echo "== $$m (GOWORK=off)"; (cd "$$m" && GOWORK=off go test ./...); done
	@for m in $(MODULES); do echo "== $$m as its users get it (GOWORK=off)"; (cd "$$m" && GOWORK=off go build ./... && GOWORK=off go vet ./...); done
	go test -run '^$$' -bench . -benchtime 1x $$(go list work | grep -v '/examples/') >/dev/null
	@scripts/report.sh

.PHONY: setup
setup: ## install what the tests need, where that is possible
	@scripts/setup.sh

.PHONY: consul etcd
consul etcd: ## build the server from its modules into the user's cache, once
	@scripts/servers.sh $@

.PHONY: check-fmt
check-fmt: ## fail if a file is not formatted
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt would change:"; echo "$$out"; exit 1; }

.PHONY: vet
vet: ## go vet in every module
	go vet work

.PHONY: tidy-diff
tidy-diff: ## fail if a go.mod or go.sum is not tidy
	@for m in $(MODULES) $(OUTSIDE); do (cd "$$m" && GOWORK=off go mod tidy -diff) || { echo "$$m: go mod tidy would change it"; exit 1; }; done

.PHONY: tidy
tidy: ## go mod tidy in every module
	@for m in $(MODULES) $(OUTSIDE); do (cd "$$m" && GOWORK=off go mod tidy); done
	go work sync

.PHONY: lint
lint: ## golangci-lint with the annotated configuration
	golangci-lint run

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME
	@for p in $$(go list work); do for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz); do \
		echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; done; done

.PHONY: bench
bench: ## the benchmarks, ten times, for benchstat
	go test -run '^$$' -bench . -count 10 $$(go list work | grep -v '/examples/')

.PHONY: proto
proto: ## write the generated code of the examples anew
	$(MAKE) -C examples/shop proto
	$(MAKE) -C examples/quickstart proto
