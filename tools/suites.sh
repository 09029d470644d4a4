#!/usr/bin/env bash
# Runs the suites that are named, one after the other, whether or not one fails; then prints the time of each. The exit
# status is 1 if any failed. What a suite skips for want of a part it says itself.
set -uo pipefail
cd "$(dirname "$0")/.."
GO=${GO:-go}
BIN=build/bin
mkdir -p build
tools_ready() { bash tools/parts.sh go; }

# Go files of ours that stand in the tree, those of testdata left out: some of them must not even compile.
go_files() { find . -name '*.go' -not -path './build/*' -not -path '*/testdata/*' -not -path './.git/*'; }

suite_fmt() {
	tools_ready || return 1
	local wrong
	wrong=$(go_files | xargs "$BIN/gofumpt" -l) || return 1
	if [[ -n $wrong ]]; then
		echo "not as gofumpt wants them (make fmt):"
		echo "$wrong"
		return 1
	fi
}
suite_vet() { "$GO" vet ./... && "$GO" vet -tags breakable ./gate ./demo; }
suite_windows() { GOOS=windows GOARCH=amd64 "$GO" vet ./...; }
suite_darwin() { GOOS=darwin GOARCH=arm64 "$GO" vet ./...; }
suite_lint() { tools_ready && "$BIN/golangci-lint" run; }
suite_vuln() {
	# The list of known faults comes from outside; where none is configured there is nothing to compare with.
	if [[ -z ${GOVULNDB:-} ]]; then
		echo "skipped: GOVULNDB names no database of known faults (a URL or file:///folder)"
		return 0
	fi
	tools_ready && "$BIN/govulncheck" ./...
}
# gotests runs go test and keeps the counts for the last line.
gotests() { tools_ready && "$BIN/gotestsum" --format pkgname --jsonfile "build/tests-${suite//./}.json" -- "$@"; }
suite_unit() { gotests ./...; }
suite_short() { gotests -short ./...; }
suite_breakable() { gotests -tags breakable ./demo; }
# The promises once more, each world two replicas on one PostgreSQL behind a round robin. Tests wait for leases and for time
# to go by, so more of them run at once than there are cores. Kills are few here and many in suite_soak.
suite_replicas() {
	GATEHOUSE_TEST_STORE=replicas gotests -short -count=1 -parallel 4 -timeout 8m ./promise
}
# The race detector needs cgo; nothing else here does. It makes a test some ten times slower, so it looks at the rooms in
# which goroutines share something; the others have no state or run these.
suite_race() {
	CGO_ENABLED=1 gotests -race -short ./app ./bridge ./config ./egress ./entry/... ./gate ./httpfront ./module/... ./store/... ./wire
}
# suite_root runs the tests that leave out something unless they run as root: those that ask for their uid.
suite_root() {
	local dir names
	if ((EUID != 0)); then
		echo "not root"
		return 1
	fi
	while read -r dir names; do
		suite=root-${dir//\//-} gotests -run "^($names)\$" "$dir" || return 1
	done < <(root_tests)
}
root_tests() {
	grep -rlE --include='*_test.go' --exclude-dir=build 'Gete?uid\(\) != 0' . | xargs awk '
		/^func Test/ { name = $2; sub(/\(.*/, "", name) }
		/Gete?uid\(\) != 0/ { dir = FILENAME; sub(/\/[^\/]*$/, "", dir); names[dir] = names[dir] (dir in names && names[dir] ? "|" : "") name }
		END { for (dir in names) print dir, names[dir] }
	'
}
# suite_soak runs the tests that are short in the other suites at their full length: 200 kills on each engine, 2,000 flips.
suite_soak() {
	GATEHOUSE_SOAK=1 gotests -timeout 2h -count=1 -v -run 'Crash|Kill|Flipped|ReplicaThatDies|GoesAway|Skewed|Clock|ManyInserts' ./promise ./module/audit ./store
}
# suite_races repeats what may depend on who comes first: rights and uses that are taken away while calls run.
suite_races() {
	GATEHOUSE_SOAK=1 gotests -timeout 2h -count="${RACES:-30}" -run 'P5_|Uses' ./promise ./module/audit
}
suite_idle() { "$GO" run ./bench -idle 10000; }
suite_demo() { "$GO" run . demo --once; }
suite_fuzz() {
	local file target failed=0
	while IFS=: read -r file target; do
		"$GO" test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-15s}" "$(dirname "$file")" || failed=1
	done < <(grep -rEo --include='*_test.go' --exclude-dir=build '^func Fuzz[A-Za-z0-9_]+' . | sed 's/func //')
	return "$failed"
}

# counted prints the plain count of the tests that the suites ran: leaves only, so that a table counts by its rows.
counted() {
	compgen -G 'build/tests-*.json' >/dev/null || return 0
	awk '
		match($0, /"Action":"(pass|fail|skip)"/) && /"Test":"/ {
			split(substr($0, RSTART, RLENGTH), action, "\"")
			count[action[4]]++
		}
		END { printf "tests: %d passed, %d failed, %d skipped\n", count["pass"], count["fail"], count["skip"] }
	' build/tests-*.json
}

rm -f build/tests-*.json
status=0
table=()
for suite in "$@"; do
	if ! declare -F "suite_$suite" >/dev/null; then
		echo "$0: there is no suite $suite" >&2
		exit 2
	fi
	echo "=== $suite"
	begun=$SECONDS
	word=ok
	"suite_$suite" || { word=FAILED status=1; }
	table+=("$(printf '%-10s %-7s %5ds' "$suite" "$word" $((SECONDS - begun)))")
done
echo
printf '%s\n' "${table[@]}"
counted
exit "$status"
