package promise_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/gatetest"
	"gatehouse/sandbox"
)

// lair is a place for an intruder that other users reach as well: its program, a folder to write to, a stranger's file.
type lair struct{ program, work, outside string }

func newLair(t *testing.T) lair {
	t.Helper()
	base, err := os.MkdirTemp("", "gatehouse-intruder-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	l := lair{base + "/bin/intruder", base + "/work", base + "/others/secret.txt"}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, dir := range []string{"bin", "work", "others"} {
		if err := errors.Join(os.Mkdir(base+"/"+dir, 0o700), os.Chmod(base+"/"+dir, 0o777)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := os.OpenFile(l.program, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	// The stranger's file is open to every user: what keeps the intruder from it is the sandbox alone.
	err = errors.Join(err, out.Close(), os.WriteFile(l.outside, []byte("x"), 0o600), os.Chmod(l.outside, 0o666), os.Chmod(l.program, 0o755), os.Chmod(base, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// breakIn starts a gateway with an intruder behind it and gives what the intruder notes.
func breakIn(t *testing.T, rules string) map[string]string {
	t.Helper()
	l := newLair(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := gatetest.Start(t, gatetest.Config{YAML: fmt.Sprintf(`modules:
  mcp:
    servers:
      intruder:
        command: [%q, intrude]
        env: {DATA: "$DIR/data", CONFIG: "$DIR/gatehouse.yaml", OUTSIDE: %q, WORK: %q, LISTEN: %q}
        sandbox: %s
`, l.program, l.outside, l.work, listener.Addr(), strings.ReplaceAll(rules, "$WORK", l.work))})
	if n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); n != 0 || err != nil {
		t.Errorf("the gateway can be dumped: %d %v", n, err)
	}
	var core syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &core); core.Cur != 0 || core.Max != 0 || err != nil {
		t.Errorf("the gateway may leave a core file: %+v %v", core, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.App.Run(ctx, listener) }()
	until(t, "the operator's socket is there", func() bool { _, err := os.Stat(h.Data + "/operator.sock"); return err == nil })
	if err := os.WriteFile(l.work+"/begin", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for end := time.Now().Add(30 * time.Second); ; {
		if b, err := os.ReadFile(l.work + "/report"); err == nil {
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the intruder does not report: %s", h.Operate("servers.list", map[string]any{}))
		}
		<-time.After(10 * time.Millisecond)
	}
	stop()
	<-ended
	h.Close()
	got["live on after the gateway"] = "done"
	if pid, err := strconv.Atoi(got["child"]); err != nil {
		t.Errorf("the intruder left no child behind: %s", got["child"])
	} else if gone(pid) {
		got["live on after the gateway"] = "killed"
	}
	if _, err := os.Stat(got["home"]); !errors.Is(err, os.ErrNotExist) || got["home"] == "" {
		t.Errorf("its HOME %q is left behind: %v", got["home"], err)
	}
	return got
}

func until(t *testing.T, what string, good func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !good(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// gone waits until a process has ended; one that nobody reaps counts.
func gone(pid int) bool {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		if syscall.Kill(pid, 0) != nil {
			return true
		}
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(b), ") Z ") {
			return true
		}
	}
	return false
}

// TestPromise_P9_AServerReachesNothing: a program that Gatehouse starts tries to get at the keys, the log, the gateway and
// the world. The table in docs/security.md holds what came of it, for a normal user and for root, and is compared here. With
// the sandbox off the same program gets what it wants: else it would prove nothing.
func TestPromise_P9_AServerReachesNothing(t *testing.T) {
	if s := sandbox.Supported(); s.Problem != "" || len(s.Gaps) > 0 {
		if os.Getenv("GATEHOUSE_TEST_REQUIRE_PARTS") != "" {
			t.Fatalf("%+v", s)
		}
		t.Skipf("skipped for want of a part: %+v", s)
	}
	cases := []struct{ column, rules string }{{"a user", "{write: [$WORK]}"}}
	if os.Geteuid() != 0 {
		t.Log("not root: the columns of root are left out")
	} else {
		cases = []struct{ column, rules string }{{"root", "{write: [$WORK]}"}, {"root as same", "{write: [$WORK], user: same}"}}
	}
	table := promisedTable(t)
	for _, tt := range cases {
		t.Run(tt.column, func(t *testing.T) {
			t.Parallel()
			got := breakIn(t, tt.rules)
			for _, what := range append(whats(), "live on after the gateway") {
				if want := table[what][tt.column]; got[what] != want || want == "done" || want == "" {
					t.Errorf("%s: %s; the table says %q", what, got[what], want)
				}
			}
			confined(t, got["status"])
			// With sockets of the machine and the network it connects, as far as its user may, and is still not served.
			open := breakIn(t, strings.TrimSuffix(tt.rules, "}")+", unix_sockets: true, network: any}")
			if open["connect by TCP"] != "done" || open["be served on the operator's socket"] == "done" || open["signal the gateway"] == "done" {
				t.Errorf("with sockets: %v", open)
			}
			if same := tt.column != "root"; same && open["connect to the operator's socket"] != "done" {
				t.Errorf("with sockets it does not connect: %v", open)
			}
		})
	}
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		// A process of the same user stays out of the gateway's memory though nothing confines it; root does not.
		closed := map[string]bool{}
		if os.Geteuid() != 0 {
			for _, what := range []string{
				"read the gateway's environment", "open the gateway's memory", "read the gateway's map of memory",
				"read the gateway's memory without a file", "trace the gateway", "become root again",
			} {
				closed[what] = true
			}
		}
		got := breakIn(t, "off")
		for _, what := range whats() {
			switch {
			case what == "see what was not configured for it", what == "leave its process group", what == "make namespaces of its own", what == "make sockets through a ring":
				// the first two hold or mean nothing without a sandbox as well; the others are the system's to say
			case closed[what] == (got[what] == "done"):
				t.Errorf("%s: %s", what, got[what])
			}
		}
	})
}

// confined looks at what the kernel says of the program.
func confined(t *testing.T, status string) {
	t.Helper()
	for _, line := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000"} {
		if !strings.Contains(status, line+"\n") {
			t.Errorf("the program's status does not hold %q", line)
		}
	}
}

func whats() (all []string) {
	for _, a := range attempts {
		all = append(all, a.what)
	}
	return all
}

// promisedTable reads the table of docs/security.md: what was tried → column → how it ended.
func promisedTable(t *testing.T) map[string]map[string]string {
	t.Helper()
	b, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	rows := map[string]map[string]string{}
	for _, line := range strings.Split(string(b), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		switch {
		case strings.HasPrefix(line, "| a server tries to |"):
			columns = cells
		case columns == nil || strings.HasPrefix(line, "|-"):
		case !strings.HasPrefix(line, "|"):
			return rows
		default:
			rows[cells[0]] = map[string]string{}
			for i := 1; i < len(cells) && i < len(columns); i++ {
				rows[cells[0]][columns[i]] = cells[i]
			}
		}
	}
	return rows
}
