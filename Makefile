# Needs Go, git and make. Tools are pinned in internal/tools/go.mod and built by the go command.
TOOL := go tool -modfile=internal/tools/go.mod
# What `buf breaking` compares with: the last release, or the commit before.
AGAINST ?= $(shell git describe --tags --abbrev=0 2>/dev/null || git rev-parse --verify -q HEAD~1 || git rev-parse HEAD)
# How long each fuzz target runs.
FUZZTIME ?= 30s

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

.PHONY: gen
gen: ## Generate Go, gateway and OpenAPI from proto/
	$(TOOL) buf format -w --path proto/serin
	$(TOOL) buf generate

.PHONY: third-party
third-party: ## Print the imported protos anew from their pinned Go modules
	cd internal/tools && go run ./thirdparty ../../proto/third_party

.PHONY: lint
lint: ## Run golangci-lint and buf lint
	$(TOOL) golangci-lint run ./...
	$(TOOL) buf lint

.PHONY: test
test: ## Vet and test; what needs more than Go skips with a line that says what to install
	go vet ./...
	go test ./...

bin/grpcurl: internal/tools/go.mod
	go build -modfile=internal/tools/go.mod -o $@ github.com/fullstorydev/grpcurl/cmd/grpcurl

.PHONY: check
check: lint bin/grpcurl ## Everything strict: race detector, no skips, lint, breaking changes, generated code up to date
	$(TOOL) buf breaking --against '.git#ref=$(AGAINST)'
	$(MAKE) gen
	git diff --exit-code -- gen proto go.mod go.sum
	test -z "$$(git status --porcelain -- gen proto)"
	go mod tidy -diff
	SERIN_TEST_REQUIRE=all go test -race -timeout 30m ./...

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME
	@go list ./... | while read -r package; do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
	    echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package || exit 1; \
	  done; \
	done

.PHONY: bench
bench: ## Run the benchmarks: ratios to a bare baseline, how fast the mesh follows, shares and aborts under load
	go test -run '^$$' -bench . -benchtime 1s -timeout 30m \
	  ./services/contextstore/... ./services/ambassador/... ./gateway/... ./mesh/xds ./internal/app/...

.PHONY: clean
clean: ## Remove what was built and the local platform's state
	rm -rf bin .serin
