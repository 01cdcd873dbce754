#!/usr/bin/env bash
# Installs what is missing of the stack into ${RUNNEL_CACHE:-.cache}/engines: kinesis-mock from npm, DynamoDB Local from
# Maven Central, LocalStack from PyPI, all pinned; and, as root, by apt what these need, Redis and PostgreSQL. Each part is built in a folder
# beside its own and moved there whole, with a stamp of what it was built from, so that it may be interrupted at any
# time and does nothing when all is there.
set -euo pipefail

kinesis_mock=0.6.2 # its home is named after it: kinesisMockVersion in localstack.go
localstack=4.9.2   # 4.10 and later need Python 3.12
maven_dependency_plugin=3.8.1

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
engines=${RUNNEL_CACHE:-$root/.cache}/engines
mkdir -p "$engines"
engines=$(cd "$engines" && pwd)

main() {
  if command -v flock >/dev/null; then # one at a time
    exec 9>"$engines/.lock"
    flock 9
  fi
  rm -rf "$engines"/.building-* # of one that was interrupted
  packages
  local pids=() failed=0
  part kinesis-mock "$here/install.sh" & pids+=($!)
  part dynamodb-local "$here/install.sh" "$here/pom.xml" "$here/DynamoLocal.java" & pids+=($!)
  part localstack "$here/install.sh" "$here/constraints.txt" & pids+=($!)
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  return $failed
}

# packages installs the commands that are missing.
packages() {
  local missing=()
  python3 -c 'import ensurepip, sys, venv; assert sys.version_info >= (3, 9)' 2>/dev/null || missing+=(python3 python3-venv)
  node --version >/dev/null 2>&1 || missing+=(nodejs)
  command -v npm >/dev/null || missing+=(npm)
  javac -version >/dev/null 2>&1 || missing+=(default-jdk-headless)
  command -v mvn >/dev/null || missing+=(maven)
  command -v redis-server >/dev/null || missing+=(redis-server)
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
  [ ${#missing[@]} -eq 0 ] && return
  local install="apt-get install --yes --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "engines need packages; install them with: sudo $install" >&2
    return 1
  fi
  echo "installing ${missing[*]}"
  apt-get update --quiet --quiet
  DEBIAN_FRONTEND=noninteractive $install --quiet --quiet >/dev/null
}

# part NAME INPUT... builds a part, unless the one that is there was built from the same inputs.
part() {
  local name=$1 home=$engines/$1 stamp building
  shift
  stamp=$(cat "$@" | cksum)
  if [ -f "$home/installed" ] && [ "$(cat "$home/installed")" = "$stamp" ]; then return; fi
  echo "installing $name into $home"
  building=$(mktemp -d "$engines/.building-$name-XXXXXX")
  "build-$name" "$building" >"$building.log" 2>&1 & # in a condition it would go on after a failed command
  if ! wait $!; then
    echo "installing $name failed:" >&2
    tail -n 40 "$building.log" >&2
    rm -rf "$building" "$building.log"
    return 1
  fi
  echo "$stamp" >"$building/installed"
  rm -rf "$home" "$building.log"
  mv "$building" "$home"
}

build-kinesis-mock() {
  npm install --no-audit --no-fund --no-save --prefix "$1" "kinesis-local@$kinesis_mock"
}

build-dynamodb-local() {
  mvn --quiet --batch-mode --file "$here/pom.xml" \
    "org.apache.maven.plugins:maven-dependency-plugin:$maven_dependency_plugin:copy-dependencies" "-DoutputDirectory=$1/lib"
  javac -d "$1" -cp "$1/lib/*" "$here/DynamoLocal.java"
}

build-localstack() {
  python3 -m venv "$1/venv"
  "$1/venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$here/constraints.txt" \
    "localstack-core[base-runtime]==$localstack" moto-ext pymongo py-partiql-parser
  # An index of all services, without which each start spends seconds to make one.
  mkdir -p "$1/usr/lib/localstack"
  OVERRIDE_IN_DOCKER=0 FILESYSTEM_ROOT=$1 "$1/venv/bin/python" -m localstack.aws.spec
  [ -n "$(ls "$1/usr/lib/localstack")" ]
}

main
