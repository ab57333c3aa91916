# make demo     probe a private iSCSI target step by step, then run a disk (sets up what it needs)
# make test     lint, type check, all tests, and scenarios a and b in a lab (sets up what it needs)
# make asan     the initiator's tests under AddressSanitizer, with a leak check
# make bench    the benchmarks, or BENCH=datapath; figures go to bench/figures, with SIZE=quick to build/figures
# make install  the plugins, below DESTDIR
# make lab      the scenarios, or SCENARIO=b, in a lab of their own: up, run, down
# make lab-up   bring up the lab: an iSCSI target and LAB_HOSTS=3 hosts, as virtual machines
# make lab-ssh  a shell on HOST=host1 of the lab, or COMMAND=...
# make lab-down take the lab down, to nothing
# make lab-box  build the Debian box for the lab, unless it is in the cache

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# What a Debian 12 with node, npm, make and a compiler lacks: to build, and to test against the real things.
BUILD_PACKAGES := libatomic1 libiscsi-dev python3
TEST_PACKAGES := busybox-static dbus-daemon e2fsprogs gfs2-utils iproute2 kmod libasan8 libiscsi-bin mount nftables open-iscsi qemu-system-common qemu-utils strace tgt udev util-linux
BENCH_PACKAGES := fio
# To build the lab's box and to run its machines.
LAB_PACKAGES := busybox-static cpio dnsmasq-base e2fsprogs iproute2 kmod libvirt-clients libvirt-daemon \
  libvirt-daemon-driver-qemu libvirt-daemon-system mmdebstrap nftables openssh-client qemu-system-x86 qemu-utils \
  vagrant vagrant-libvirt
DESTDIR ?= /

ARCH := $(if $(filter aarch64,$(shell uname -m)),arm64,x64)
# Not by its link in .bin, which older npm does not make for a package with a platform.
NODE := node_modules/node-linux-$(ARCH)/bin/node
# The lab needs root, for a network namespace and mounts of its own.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E)
GYP := $(NODE) node_modules/node-gyp/bin/node-gyp.js --nodedir=$(CURDIR)/node_modules/node-linux-$(ARCH) --loglevel=warn
SOURCES = $(shell find src volume datapath cluster cli native/lib -name '*.ts' -not -name '*.test.ts')
NATIVE_SOURCES = $(shell find native src datapath -name '*.cc' -o -name '*.h' -o -name '*.gyp')

.PHONY: help demo test lint asan bench install clean packages root lab lab-box lab-check lab-down lab-install lab-packages lab-scenario \
  lab-ssh lab-up

help:
	@sed -n 's/^# //p' Makefile

demo: root build/installed packages
	$(NODE) demo/demo.ts

test: root lint build/installed packages lab-packages
	$(NODE) test/run.ts

lint: node_modules/.installed
	$(NODE) node_modules/@biomejs/biome/bin/biome check .
	$(NODE) node_modules/typescript/bin/tsc --noEmit -p .

asan: build/Release/.built packages
	native/test/asan.sh

bench: root build/installed packages
	@$(call apt_install,$(BENCH_PACKAGES))
	$(NODE) bench/run.ts $(or $(SIZE),full) $(BENCH)

install: build/bundles/.built
	$(NODE) packaging/install.ts build/bundles "$(DESTDIR)"

lab-box: node_modules/.installed lab-packages
	$(AS_ROOT) $(NODE) vagrant/box/main.ts

lab: build/installed lab-packages
	@$(AS_ROOT) $(NODE) vagrant/scenarios/main.ts $(SCENARIO)

lab-up: build/installed lab-packages
	@$(AS_ROOT) $(NODE) vagrant/lab/up.ts

# What is built now, on HOST=host1 or on all hosts of a lab that is up.
lab-install: build/installed
	@$(AS_ROOT) $(NODE) vagrant/lab/install.ts $(HOST)

# A scenario in a lab that is up, which stays.
lab-scenario: node_modules/.installed
	@$(AS_ROOT) $(NODE) vagrant/scenarios/main.ts --here $(SCENARIO)

lab-ssh:
	@$(AS_ROOT) $(NODE) vagrant/lab/ssh.ts "$(HOST)" $(if $(COMMAND),'$(subst ','\'',$(COMMAND))')

lab-down:
	@$(AS_ROOT) $(NODE) vagrant/lab/down.ts

# Every operation of vagrant-driver, on a lab that is up.
lab-check:
	@$(AS_ROOT) $(NODE) vagrant/lab/check.ts

clean:
	rm -rf build

# The same tree that `make install` makes: demo, tests and benchmarks run what an admin runs.
build/installed: build/bundles/.built packaging/launcher packaging/install.ts $(wildcard packaging/systemd/*)
	$(NODE) packaging/install.ts build/bundles build/root
	touch $@

build/bundles/.built: $(SOURCES) packaging/bundle.ts packaging/plugins.ts build/Release/.built
	$(NODE) packaging/bundle.ts build/bundles
	touch $@

build/Release/.built: binding.gyp $(NATIVE_SOURCES) node_modules/.installed
	@$(call apt_install,$(BUILD_PACKAGES))
	$(GYP) configure
	$(GYP) build
	touch $@

# Scripts of dependencies never run: what we use of them is in their packages.
NPM_CI := npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

# npm runs on the pinned Node, for it leaves out optional packages that do not fit the Node it runs on.
node_modules/.installed: build/bootstrap/node package.json package-lock.json native/package.json vagrant/package.json
	PATH="$(CURDIR)/build/bootstrap:$$PATH" NODE_NO_WARNINGS=1 $(NPM_CI)
	touch $@

build/bootstrap/node: package-lock.json
	@$(call apt_install,$(BUILD_PACKAGES))
	$(NPM_CI) --omit=dev
	install -D node_modules/node-linux-$(ARCH)/bin/node $@

root:
	@[ "$$(id -u)" = 0 ] || { echo 'This needs root, for loop devices and network namespaces: run it as root.' >&2; exit 1; }

packages:
	@$(call apt_install,$(BUILD_PACKAGES) $(TEST_PACKAGES))

lab-packages:
	@$(call apt_install,$(LAB_PACKAGES))

# Installs those of some Debian packages that are missing.
define apt_install
missing=$$(for package in $(1); do \
  [ "$$(dpkg-query -W -f '$${db:Status-Status}' "$$package" 2>/dev/null || true)" = installed ] || printf '%s ' "$$package"; done); \
if [ -n "$$missing" ]; then \
  echo "Installing Debian packages: $$missing"; \
  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
  export DEBIAN_FRONTEND=noninteractive; \
  $$sudo apt-get update -q; \
  $$sudo apt-get install -q -y --no-install-recommends $$missing; \
fi
endef
