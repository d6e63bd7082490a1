# SPDX-License-Identifier: MPL-2.0
#
# make         builds the plugin
# make demo    starts Vault with the plugin and an emulated Adobe, to try it out
# make test    runs every test, those against a real Vault server included
# make test-integrations
#              runs those that need more than Vault, such as Prometheus
# make help    lists the rest
#
# Written for GNU make 3.81 (macOS) and newer.

NAME    := vault-plugin-secrets-adobeims
PACKAGE := github.com/adobeims/$(NAME)
CACHE   := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/$(NAME)

# Vault knows a plugin by its checksum, so the same commit has to give the same binary everywhere:
# no paths of this machine, and the date of the commit instead of today's.
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null)$(shell git diff --quiet HEAD 2>/dev/null || echo -dirty)
DATE    := $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
LDFLAGS := -s -w $(if $(DATE),-X $(PACKAGE).commit=$(COMMIT) -X $(PACKAGE).buildDate=$(DATE))

# The race detector needs a C compiler. Without one the tests run all the same.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

GOLANGCI_VERSION := v2.15.0
GOLANGCI         := $(CACHE)/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint

.PHONY: build
build: ## build the plugin into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/$(NAME) ./cmd/$(NAME)

.PHONY: test
test: ## run every test; VAULT_BIN names another server than the one found or built
	@$(if $(RACE),,echo 'No C compiler found: testing without the race detector.' >&2)
	go build $(RACE) -o bin/test/$(NAME) ./cmd/$(NAME)
	VAULT_BIN="$$(scripts/vault.sh)" && export VAULT_BIN && \
	PLUGIN_BIN="$(CURDIR)/bin/test/$(NAME)" go test $(RACE) -timeout 20m ./...

# PROMETHEUS_DIR names the directory of other programs prometheus and promtool than those found or built.
# OUTAGE_SVG names a file for a picture of the outage, such as docs/images/outage.svg.
.PHONY: test-integrations
test-integrations: ## test with a real Prometheus, built once in about 6 minutes
	go build $(RACE) -o bin/test/$(NAME) ./cmd/$(NAME)
	VAULT_BIN="$$(scripts/vault.sh)" && export VAULT_BIN && \
	PROMETHEUS_DIR="$$(scripts/prometheus.sh)" && export PROMETHEUS_DIR && \
	PLUGIN_BIN="$(CURDIR)/bin/test/$(NAME)" go test $(RACE) -count 1 -v -timeout 20m ./test/integrations

# PLUGIN_BIN_BEFORE names another binary of the plugin, to be measured beside this one. The other
# variables are described in bench/bench_test.go, with how to read what this prints.
BENCH_FLAGS := -bench . -benchtime 2s

.PHONY: bench
bench: build ## measure the plugin in a real Vault; BENCH_FLAGS are for go test
	@VAULT_BIN="$$(scripts/vault.sh)" && export VAULT_BIN && \
	PLUGIN_BIN="$(CURDIR)/bin/$(NAME)" go test -run '^$$' -timeout 2h $(BENCH_FLAGS) ./bench

.PHONY: lint
lint: $(GOLANGCI) ## run go vet and golangci-lint
	go vet ./...
	$(GOLANGCI) run ./...

# Under a name of its version, so that a new version is installed without a clean-up.
$(GOLANGCI):
	@echo 'Building golangci-lint $(GOLANGCI_VERSION) once, into $(CACHE): about a minute.'
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

.PHONY: fmt
fmt: ## format the code
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: demo
demo: ## start Vault with the plugin and an emulated Adobe (see scripts/demo.sh)
	@scripts/demo.sh

.PHONY: clean
clean: ## remove what was built here, not the tools in the cache folder
	rm -rf bin

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-19s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)
