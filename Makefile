# Needs Go, git and make. Tools are pinned in internal/tools/go.mod and built by the go command.
TOOL := go tool -modfile=internal/tools/go.mod
# What `buf breaking` compares with: the last release, or the commit before.
AGAINST ?= $(shell git describe --tags --abbrev=0 2>/dev/null || git rev-parse --verify -q HEAD~1 || git rev-parse HEAD)
# What `make gen` writes.
GENERATED := gen proto deploy/crds deploy/rbac internal/agentspec mesh/api
# Which tests make e2e runs: a regular expression of their names.
E2E ?= .
# How often a failed test may be run again, for machines that are slow at times; what it did first is still shown.
RETRIES ?= 0
SUMMED = gotestsum --rerun-fails=$(RETRIES) --rerun-fails-max-failures=5 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race
# How long each fuzz target runs.
FUZZTIME ?= 30s

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

.PHONY: gen
gen: ## Generate Go, gateway and OpenAPI from proto/; custom resources and RBAC from Go
	$(TOOL) buf format -w --path proto/serin
	$(TOOL) buf generate
	$(TOOL) controller-gen object paths=./internal/agentspec paths=./mesh/api/v1alpha1
	$(TOOL) controller-gen crd:allowDangerousTypes=true paths=./mesh/api/v1alpha1 output:crd:dir=deploy/crds
	go run ./mesh/api/crdgen deploy/crds
	$(TOOL) controller-gen rbac:roleName=serin-controller paths=./mesh/controller/kube output:rbac:dir=deploy/rbac

.PHONY: third-party
third-party: ## Print the imported protos anew from their pinned Go modules
	cd internal/tools && go run ./thirdparty ../../proto/third_party

.PHONY: lint
lint: ## Run golangci-lint and buf lint
	$(TOOL) golangci-lint run ./...
	cd mesh/e2e && go tool -modfile=../../internal/tools/go.mod golangci-lint run --config ../../.golangci.yml ./...
	$(TOOL) buf lint

.PHONY: test
test: ## Vet and test, but for minutes of load; what needs more than Go skips with a line that says what to install
	go vet ./...
	go test -short ./...

bin/grpcurl: internal/tools/go.mod
	go build -modfile=internal/tools/go.mod -o $@ github.com/fullstorydev/grpcurl/cmd/grpcurl

.PHONY: check
check: lint bin/grpcurl ## Everything strict: race detector, no skips, lint, breaking changes, generated code up to date
	$(TOOL) buf breaking --against '.git#ref=$(AGAINST)'
	$(MAKE) gen
	git diff --exit-code -- $(GENERATED) go.mod go.sum
	test -z "$$(git status --porcelain -- $(GENERATED))"
	go mod tidy -diff
	cd mesh/e2e && go mod tidy -diff
	SERIN_TEST_REQUIRE=all $(TOOL) $(SUMMED) --format pkgname-and-test-fails --packages ./... -- -race -timeout 30m

.PHONY: e2e
e2e: ## Run the suite on a real API server and istiod, without Docker; the first build of those takes 20 minutes
	cd mesh/e2e && SERIN_TEST_REQUIRE=all go tool -modfile=../../internal/tools/go.mod $(SUMMED) --format standard-verbose \
	  --packages ./... -- -p 1 -count 1 -timeout 60m -run '$(E2E)'

.PHONY: cluster
cluster: ## Start a Kubernetes API server with Istio whose pods are processes, for kubectl, until Ctrl-C; needs root
	cd mesh/e2e && go run ./cmd/serin-cluster

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
