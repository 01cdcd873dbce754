# Tests that need a server carry the build tag engines, wherever they are: go test ./... is the part that needs Go alone,
# and the tag adds the rest. The servers are installed by "make engines" and started by the tests themselves (package
# localstack). RUNNEL_STACK says which to use, RUNNEL_CACHE where they are installed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
RUNNEL_CACHE ?= .cache
override RUNNEL_CACHE := $(abspath $(RUNNEL_CACHE))
export RUNNEL_CACHE
lint := $(RUNNEL_CACHE)/bin/golangci-lint
benchstat := $(RUNNEL_CACHE)/bin/benchstat
core := $(addprefix ./,$(wildcard checkpoint lease ordering dedup deadletter consumer))
# The race detector needs a C compiler.
race := $(shell command -v "$$(go env CC)" >/dev/null && echo -race)
$(if $(race),,$(warning no C compiler: tests run without the race detector))
# The packages with tests that need a server, and of these the ones whose tests ask for the services that RUNNEL_STACK chooses, and not only for a database. The transactions of ddbdedup are too many for LocalStack, which
# has the same DynamoDB Local behind it.
served = $(shell grep -rl --include=*_test.go '^//go:build engines$$' . | xargs -r -n 1 dirname | sort -u)
stacked = $(filter-out dedup/ddbdedup ./dedup/ddbdedup,$(shell grep -rlE --include=*_test.go 'localstack\.(Stack|Start\b|Environment)|stacktest\.' $(served) | xargs -r -n 1 dirname | sort -u))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: check
check: format tidy imports vet lint test-unit ## what a change must pass before its tests: format, vet, lint, tidy modules, unit tests

.PHONY: format tidy imports vet lint
format:
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted, run gofmt -w: $$files" >&2; exit 1; }
tidy:
	go mod tidy -diff
imports: # the core imports nothing but the standard library
	@foreign=$$(go list -deps -f '{{if not .Standard}}{{.ImportPath}}{{end}}' $(core) | grep -v '^github.com/runnelhq/runnel' || true); \
	test -z "$$foreign" || { echo "$(core) import: $$foreign" >&2; exit 1; }
vet:
	go vet ./...
	go vet -tags engines ./...
lint: tools
	$(lint) run --build-tags engines

.PHONY: test
test: engines test-unit sim faults test-localstack test-engines ## every test: the unit tests, the simulator and the faults planted for it, then the others on LocalStack and on its bare engines

.PHONY: test-unit
test-unit: ## the tests that need Go alone, in some five minutes
	go test $(race) -timeout 8m ./...
	$(if $(race),go test -timeout 8m -run '^TestSearch' ./lease && go test -timeout 8m ./ordering ./internal/failure) # left out under the race detector, or made short

# SEEDS is how many worlds to simulate, from FROM on; SEED runs one again, with a trace.
SEEDS ?= 2000
FROM ?= 1
.PHONY: sim sim-long faults
sim: ## the lease protocol in virtual time: 2,000 worlds with faults; SEEDS=100 is fewer, SEED=17 runs one again with a trace
	go test -count 1 -timeout 24h ./internal/sim -run '^TestSeeds$$' $(if $(SEED),-v -args -seed $(SEED),-v -args -seeds $(SEEDS) -from $(FROM))
sim-long: ## half a million worlds, for a night
	$(MAKE) sim SEEDS=500000
faults: ## plant each fault of docs/faults.md and see that the simulator notices; UPDATE=1 writes the table
	go test -count 1 -timeout 2h -tags planted ./internal/sim -run '^TestGate$$' -v $(if $(UPDATE),-args -update)

.PHONY: test-localstack
test-localstack: engines ## the tests that need Kinesis or DynamoDB, on the endpoints of the environment or on LocalStack
	RUNNEL_STACK=$${RUNNEL_STACK:-auto} go test $(race) -p 1 -count 1 -timeout 20m -tags engines $(stacked)

.PHONY: test-engines
test-engines: engines ## the tests that need a server, on kinesis-mock, DynamoDB Local without LocalStack, Redis and PostgreSQL
	RUNNEL_STACK=engines go test $(race) -p 1 -count 1 -timeout 20m -tags engines $(filter-out ./localstack,$(served)) # it starts each kind itself

.PHONY: fuzz
fuzz: ## every fuzz test for FUZZTIME, 10 s by default
	@grep -ro --include=*_test.go '^func Fuzz[A-Za-z0-9_]*' . | while IFS=: read -r file func; do \
		echo "$$file $${func#func }"; \
		go test -run '^$$' -fuzz "^$${func#func }$$" -fuzztime "$${FUZZTIME:-10s}" "$$(dirname "$$file")"; \
	done

.PHONY: demo
demo: engines ## three workers consume a real stream and a table's changes; one is killed; nothing is missing
	go run ./examples/demo

# BENCH names what to measure, COUNT how many rounds (0: each part's own number), OUT where the results go.
BENCH ?= kinesis streams memory lanes idle latency pause start leases marks
COUNT ?= 0
OUT ?= $(RUNNEL_CACHE)/bench
.PHONY: bench
bench: $(if $(filter latency pause start leases fleets marks ddbseals,$(BENCH)),engines) $(benchstat) ## what a record costs, and how fast it is, in about 16 minutes; BENCH=kinesis is one part, COUNT=3 the rounds, OUT=docs/benchmarks the folder
	@mkdir -p $(OUT)
	@go build -o $(RUNNEL_CACHE)/bin/bench ./integration/bench
	@for part in $(BENCH); do \
		RUNNEL_STACK=$${RUNNEL_STACK:-engines} $(RUNNEL_CACHE)/bin/bench -count $(COUNT) $$part | tee $(OUT)/$$part.txt && \
		$(benchstat) -col /side $(OUT)/$$part.txt > $(OUT)/$$part.benchstat.txt || exit; \
	done
	@$(RUNNEL_CACHE)/bin/bench goals $(OUT) | tee $(OUT)/goals.md

.PHONY: bench-leases
bench-leases: ## what leases cost at scale, on DynamoDB Local, Redis and PostgreSQL and simulated, and how fast shards find owners, in some 12 minutes
	@$(MAKE) --no-print-directory bench BENCH="leases fleets"

# SEED chooses what is done, TABLE is the file for the results, STORES which leases are in, where it is not all.
TABLE ?= $(RUNNEL_CACHE)/$@.md
chaos := RUNNEL_STACK=$${RUNNEL_STACK:-engines} go run ./integration/chaos -seed $(or $(SEED),0) $(if $(STORES),-stores $(STORES))
.PHONY: chaos
chaos: engines ## workers on every store, killed, stopped and cut off in about 6 minutes, and every promise checked; SEED=7, STORES=sqlite, TABLE=file
	@$(chaos) -table $(TABLE)

.PHONY: chaos-long
chaos-long: engines ## the same for an hour, with other seeds and once with the default timings
	@$(chaos) -long 1h -table $(TABLE)

exactly := RUNNEL_STACK=$${RUNNEL_STACK:-engines} go run ./integration/exactly -seed $(or $(SEED),0) $(if $(SINKS),-sinks $(SINKS))
.PHONY: exactly-once
exactly-once: engines ## workers of a bank on every sink and both streams, killed and stopped at every bad moment in about 7 minutes, and its books balanced; SEED=7, SINKS=redis, TABLE=file
	@$(exactly) -table $(TABLE)

.PHONY: exactly-once-long
exactly-once-long: engines ## the same for an hour, with other seeds
	@$(exactly) -long 1h -table $(TABLE)

.PHONY: life
life: engines ## what handing over, stopping, deploying, crashing and starting workers cost, in about 6 minutes, beside the goals
	@$(chaos) -table $(TABLE) life

.PHONY: engines
engines: ## install the servers that tests need, once: LocalStack, kinesis-mock, DynamoDB Local, Redis, PostgreSQL
	@localstack/install/install.sh

.PHONY: tools
tools: $(lint) $(benchstat) ## build the pinned tools, once
$(lint): tools.mod tools.sum
	@echo "building golangci-lint, once: some minutes"
	@go build -modfile=tools.mod -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@
$(benchstat): tools.mod tools.sum
	@go build -modfile=tools.mod -o $@ golang.org/x/perf/cmd/benchstat
	@touch $@

.PHONY: clean
clean: ## remove what was installed and built
	rm -rf "$(RUNNEL_CACHE)"
