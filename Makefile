# The two commands: `make demo` and `make test`. Everything they need, they install.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python

.PHONY: help setup setup-test demo test check compiled test-compiled conformance agents engines engines-vllm bench bench-quick eval-agentdojo format

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

setup: ## prepare .venv and the example servers
	@scripts/setup

setup-test: setup
	@scripts/setup-test

demo: setup ## the main job, on embedded storage, in your browser
	@.venv/bin/bailiwick demo

check: setup ## lint, types and the quick tests
	@scripts/setup-sdks
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(PY) -m pytest -q -m "not slow and not agents and not conformance and not browser" -n 2

test: setup-test ## the whole suite
	@scripts/setup-sdks
	@scripts/setup-agents
	@scripts/setup-evals
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(PY) -m pytest -n 2 --dist loadfile

compiled: setup ## build the wheel with its hot modules compiled, and install it in .compiled/
	@scripts/setup-compiled

test-compiled: setup-test compiled ## the quick tests once more, against the compiled wheel
	.compiled/bin/python -m pytest -q -n 2 -m "not slow" -p no:cacheprovider \
		tests/architecture/test_compiled.py tests/unit/core tests/unit/ledger tests/unit/protocols \
		tests/gateway tests/attacks tests/stores tests/faults tests/transcripts \
		tests/identity tests/app/test_http_protocol.py
	.compiled/bin/python scripts/compile/trial.py

conformance: setup-test ## the official MCP conformance suites, direct and through the gateway
	$(PY) -m tests.conformance.run

agents: setup ## real agents (goose, Codex, opencode, Claude Code), thinking and acting through the gateway
	@scripts/setup-agents
	$(PY) -m pytest -m agents tests/agents

engines: setup ## llama.cpp behind the gateway, in front of it the official SDKs
	@scripts/setup-sdks
	@scripts/setup-engine llama
	REAL_ENGINES=llama $(PY) -m pytest tests/engines

engines-vllm: setup ## the same with vLLM (3 GB; Linux on x86-64)
	@scripts/setup-sdks
	@scripts/setup-engine vllm
	REAL_ENGINES=vllm $(PY) -m pytest tests/engines

bench: setup compiled ## throughput and latency beside direct, nginx and the gateways one could pick instead
	@scripts/setup-bench
	$(PY) -m bench --targets --peers
	$(PY) -m bench.models

bench-quick: setup compiled ## the same without those gateways
	@scripts/setup-bench
	$(PY) -m bench --targets
	$(PY) -m bench.models --no-peers

eval-agentdojo: setup ## AgentDojo's tasks and injections through the gate: evals/agentdojo/results.json
	@scripts/setup-evals
	cd evals/agentdojo && .venv/bin/python -m replay

format: ## format the code
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
