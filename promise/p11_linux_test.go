package promise_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// alone runs a program in a network namespace that has only loopback, and gives what it printed and how often anything in
// there tried to reach an address that loopback is not: the kernel counts packets for which there is no route.
func alone(t *testing.T, script string) (output string, tries string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "-n", "sh", "-c", `ip link set lo up || exit 9
`+script+`
status=$?; echo
awk '/^Ip:/ { if (seen++) { split($0, v); for (i in n) if (n[i] == "OutNoRoutes") print "no route: " v[i] } else split($0, n) }' /proc/net/snmp
awk '$1 == "Ip6OutNoRoutes" { print "no route 6: " $2 }' /proc/net/snmp6
exit $status`)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "no route") {
			tries += line
		} else {
			output += line
		}
	}
	return output, tries
}

const noTries = "no route: 0\nno route 6: 0\n"

// TestPromise_P11_WithoutANetwork runs the demo and a server where there is no way out, and sees that they neither need one
// nor try to find one.
func TestPromise_P11_WithoutANetwork(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root makes a network namespace")
	}
	for _, program := range []string{"unshare", "ip", "awk", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	binary := filepath.Join(t.TempDir(), "gatehouse")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "..").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	// The count must be one that rises, or it would prove nothing.
	if _, tries := alone(t, `curl -s -m 2 http://192.0.2.1/; true`); tries == noTries || tries == "" {
		t.Fatalf("the kernel does not count a try: %q", tries)
	}
	t.Run("demo", func(t *testing.T) {
		t.Parallel()
		out, tries := alone(t, "cd "+t.TempDir()+" && "+binary+" demo --once")
		if tries != noTries || !strings.Contains(out, "ok ") {
			t.Errorf("%s%s", tries, out)
		}
	})
	t.Run("serve", func(t *testing.T) {
		t.Parallel()
		out, tries := alone(t, `cd `+t.TempDir()+`
`+binary+` serve --data d --listen 127.0.0.1:8080 & pid=$!
for i in $(seq 100); do curl -sf http://127.0.0.1:8080/readyz && break; sleep 0.1; done
`+binary+` --data d user add ada@example.org &&
`+binary+` --data d permit ada@example.org people.list --allow &&
T=$(`+binary+` --data d token issue --for ada@example.org --agent a --tools people.list --ttl 1h) &&
curl -sf -H "Authorization: Bearer $T" -H 'Content-Type: application/json' -d '{}' http://127.0.0.1:8080/v1/tools/people.list
good=$?
kill -TERM $pid; wait $pid
(exit $good)`)
		if tries != noTries || !strings.Contains(out, `"result":`) {
			t.Errorf("%s%s", tries, out)
		}
	})
}
