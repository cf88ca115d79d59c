# `make help` lists the jobs. They need Go and git, and the system's package manager if a database server is missing.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Arguments of the program that a job runs: make demo ARGS=--once
ARGS ?=

# Build each of the modules with its own go.mod, even inside a workspace.
export GOWORK := off

tool := go tool -modfile=$(CURDIR)/tools/go.mod

# Packages that only the worker and its activities may reach: the operator's machine has access to neither AWS nor the databases.
worker_only := github.com/aws/|github.com/go-sql-driver/|database/sql$$

.PHONY: help
help: ## List the jobs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: database-server compiled ## Watch a password rotate twice, then look around; ARGS=--once exits by itself
	@go run -C devstack . demo $(ARGS)

.PHONY: up
up: database-server compiled ## Start Temporal, Secrets Manager, a database and the worker; settings are in .devstack/env
	@go run -C devstack . up $(ARGS)

.PHONY: build
build: ## Build the worker and the starter into bin/
	go build -o bin/ ./worker ./starter

.PHONY: test
test: ## Run all tests on every database server found, and count them
	@devstack/compile.sh "the worker and its tests" . -test ./...
	@devstack/compile.sh "a Temporal server and the tests on it" devstack -test ./...
	@go run -C tools ./testall $(ARGS)

.PHONY: pictures
pictures: ## Redraw the docs' pictures of the Temporal UI in Chromium
	PICTURES=$(CURDIR)/docs CI=true go test -C devstack -count=1 -run TestTheTemporalUI .

.PHONY: compose-check
compose-check: ## Run the tutorial on docker-compose.yml; needs a Docker engine
	@devstack/compose-check.sh

.PHONY: docs-check
docs-check: database-server compiled ## Run every command in the documentation; count those that could only be parsed
	@go run -C devstack . docs

.PHONY: deploy-check
deploy-check: ## Check deploy/ with Helm and OpenTofu, which are built once
	go test -C deploy/check -count=1 -timeout 30m $(ARGS)

.PHONY: manifests
manifests: ## Render the manifests and the policy in deploy/ again
	go test -C deploy/check -count=1 -timeout 30m . -update

.PHONY: lint
lint: lint-imports ## Check style, common mistakes, and that workflows are deterministic
	$(tool) golangci-lint run ./...
	cd devstack && $(tool) golangci-lint run ./...
	cd deploy/check && $(tool) golangci-lint run ./...
	$(tool) workflowcheck ./workflows/...

.PHONY: lint-imports
lint-imports: ## Check which packages the programs reach
	@deps=$$(go list -deps ./...) && ! grep '^go.temporal.io/server' <<<"$$deps" || { echo 'only devstack/ may import the Temporal server' >&2; exit 1; }
	@deps=$$(go list -deps ./internal/grants ./rotation ./workflows ./starter) && ! grep -E '^($(worker_only))' <<<"$$deps" || \
		{ echo 'internal/grants, rotation, workflows and starter must not reach these packages: only the worker and its activities talk to AWS and to databases' >&2; exit 1; }

.PHONY: vulncheck
vulncheck: ## Check for known vulnerabilities; asks vuln.go.dev
	$(tool) govulncheck ./...

.PHONY: chaos
chaos: database-server compiled ## Break everything while clients log in; ARGS="--rotations 1000 --seed 1"
	@go run -C devstack . chaos $(ARGS)

.PHONY: bench
bench: database-server compiled ## Measure what a rotation costs, next to the least that it could cost
	@go run -C devstack ./bench $(ARGS)

.PHONY: record
record: database-server compiled ## Record histories of every kind from this build into workflows/testdata
	@go run -C devstack . record $(ARGS)

.PHONY: database-server
database-server:
	@devstack/install-server.sh

.PHONY: compiled
compiled:
	@devstack/compile.sh "a Temporal server with its UI" devstack ./...
	@devstack/compile.sh "the worker and the starter" . ./worker ./starter

.PHONY: clean
clean: ## Remove binaries and logs; keep data directories
	rm -rf bin .devstack
