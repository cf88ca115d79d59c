# The jobs of this repository; `make help` lists them. Nothing here needs more than Go, git and, for a database server that is
# missing, the system's package manager.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Further arguments, as in: make demo ARGS=--once
ARGS ?=

# Three modules, each with the dependencies that it names, even inside a workspace.
export GOWORK := off

tool := go tool -modfile=$(CURDIR)/tools/go.mod

# What only the worker and its activities may reach: the operator's machine has access to neither AWS nor the databases.
worker_only := github.com/aws/

.PHONY: help
help: ## List the jobs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: database-server ## Watch a password rotate twice, then look around; ARGS=--once ends by itself
	@go run -C devstack . demo $(ARGS)

.PHONY: up
up: database-server ## Start Temporal, Secrets Manager, a database and the worker; see .devstack/env
	@go run -C devstack . up $(ARGS)

.PHONY: build
build: ## Build the worker and the starter into bin/
	go build -o bin/ ./worker ./starter

.PHONY: test
test: ## Run all tests, on every database server that is found
	go test -timeout 20m $(ARGS) ./...
	go test -C devstack -timeout 20m $(ARGS) ./...
	go test -C devstack -timeout 20m $(ARGS) ./steps -skip 'AnotherServer|GivesWay|StorageFormat|BeforeTheLastLook' -args -lag=100ms

.PHONY: lint
lint: lint-imports ## Check style, common mistakes, and the determinism of the workflows
	$(tool) golangci-lint run ./...
	cd devstack && $(tool) golangci-lint run ./...
	$(tool) workflowcheck ./workflows/...

.PHONY: lint-imports
lint-imports: ## Check which packages the programs reach
	@deps=$$(go list -deps ./...) && ! grep '^go.temporal.io/server' <<<"$$deps" || { echo 'only devstack/ may import the Temporal server' >&2; exit 1; }
	@deps=$$(go list -deps ./rotation ./workflows ./starter) && ! grep -E '^($(worker_only))' <<<"$$deps" || \
		{ echo 'rotation, workflows and starter must not reach these packages: only the worker and its activities talk to AWS and to databases' >&2; exit 1; }

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities; asks vuln.go.dev
	$(tool) govulncheck ./...

.PHONY: chaos
chaos: database-server ## Break everything on purpose while clients log in; ARGS="--rotations 1000 --seed 1"
	@go run -C devstack . chaos $(ARGS)

.PHONY: bench
bench: database-server ## Measure what a rotation costs, beside the least that it could
	@go run -C devstack ./bench $(ARGS)

.PHONY: record
record: database-server ## Record histories of every shape from this build into workflows/testdata
	@go run -C devstack . record $(ARGS)

.PHONY: database-server
database-server:
	@devstack/install-server.sh

.PHONY: clean
clean: ## Remove what was built and recorded, but no data directory
	rm -rf bin .devstack
