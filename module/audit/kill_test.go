package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
)

// victimVariable names the folder in which the test program, started again, writes rows until it is killed.
const victimVariable = "GATEHOUSE_TEST_AUDIT_VICTIM"

// singleVariable makes the child write singleRows rows, one after the other, and end.
const singleVariable = "GATEHOUSE_TEST_AUDIT_SINGLE"

const singleRows = 50

// killsVariable says how often; without it, 20 times, or 200 under make soak.
const killsVariable = "GATEHOUSE_TEST_KILLS"

// victim writes as fast as it can, and says on standard output what it was answered: "row ID" for a row, "intent TASK" for
// a call that was let through.
func victim(dir string) int {
	kit := module.Kit{
		Name: "audit", Source: store.Source{Dir: dir}, Migrate: true, Data: dir, Log: slog.New(slog.DiscardHandler),
	}.Ready()
	l, err := audit.New(context.Background(), kit, audit.Config{Sealer: &sealer{}, KeyFile: filepath.Join(dir, "keys", "audit.json")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var mu sync.Mutex // whole lines
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = os.Stdout.WriteString(fmt.Sprintf(format, args...))
	}
	if os.Getenv(singleVariable) != "" {
		for range singleRows {
			id, err := l.Record(context.Background(), gate.Ticket{}, &gate.Row{Began: time.Now(), Effect: gate.Reads, Outcome: outcome.OK})
			if err != nil {
				return 1
			}
			say("row %s\n", id)
		}
		return 0
	}
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				r := &gate.Row{
					Began: time.Now(), Person: ada, Token: child, Ancestors: []gate.TokenID{root}, Tool: "note.write",
					Effect: gate.Effect(i % 3), Outcome: outcome.OK, Count: 1,
				}
				r.Payload.Task = fmt.Sprintf("%d/%d/%d", os.Getpid(), worker, i)
				ticket, err := l.Admit(context.Background(), r, chain(0))
				if err != nil {
					say("failed %v\n", err)
					return
				}
				if ticket.Intent != 0 {
					say("intent %s\n", r.Payload.Task)
				}
				id, err := l.Record(context.Background(), ticket, r)
				if err != nil {
					say("failed %v\n", err)
					return
				}
				say("row %s\n", id)
			}
		})
	}
	wg.Wait()
	return 1
}

// TestKilledAtAnyMoment: whenever the process is killed, the log verifies, every row that was answered is there, every call
// that was let through has exactly one row, and the counters agree with the rows.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	kills := 20
	if testing.Short() {
		kills = 5
	}
	if os.Getenv("GATEHOUSE_SOAK") == "1" {
		kills = 200
	}
	if n, err := strconv.Atoi(os.Getenv(killsVariable)); err == nil {
		kills = n
	}
	dir := t.TempDir()
	answered, intents := map[string]bool{}, map[string]bool{}
	unknown := 0
	for range kills {
		for _, line := range killOne(t, dir) {
			what, rest, _ := strings.Cut(line, " ")
			switch what {
			case "row":
				answered[rest] = true
			case "intent":
				intents[rest] = true
			default:
				t.Fatalf("the child said %q", line)
			}
		}
	}
	l := newLog(t, store.Source{Dir: dir}) // what was under way last becomes rows
	if n, err := l.OpenIntents(t.Context()); n != 0 || err != nil {
		t.Errorf("%d intents are left, %v", n, err)
	}
	l.close()
	l.mustHold()
	rows, payloads, err := audit.Rows(t.Context(), reader(t, l.source), l.sealer)
	if err != nil {
		t.Fatal(err)
	}
	finals := map[string]int{}
	for i, r := range rows {
		delete(answered, r.ID)
		finals[payloads[i].Task]++
		if r.Outcome == outcome.Unknown.String() {
			unknown++
		}
	}
	if len(answered) > 0 {
		t.Errorf("%d rows were answered and are not there: %v", len(answered), answered)
	}
	for task := range intents {
		if finals[task] != 1 {
			t.Errorf("the call %s was let through and has %d rows", task, finals[task])
		}
	}
	for task, n := range finals {
		if n != 1 {
			t.Errorf("the call %s has %d rows", task, n)
		}
	}
	if len(rows) == 0 || len(intents) == 0 {
		t.Error("the children wrote nothing")
	}
	t.Logf("%d kills, %d rows, %d of them unknown", kills, len(rows), unknown)
}

// killOne starts a child, kills it at a random moment after its first answer, and gives the whole lines that it said.
func killOne(t *testing.T, dir string) (lines []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := bufio.NewReader(out)
	first := true
	for {
		line, err := read.ReadString('\n')
		if err != nil {
			break // the last line may be half
		}
		lines = append(lines, strings.TrimSpace(line))
		if first {
			first = false
			time.AfterFunc(time.Duration(rand.IntN(150_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait() // it was killed
	if first {
		t.Fatalf("the child did not begin: %s", complaints.String())
	}
	return lines
}
