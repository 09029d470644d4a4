package promise_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/config"
	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// arrivalsFile lies beside the data folder of a gateway that will be killed: the ledger notes there what reaches it.
const arrivalsFile = "arrivals"

// serveUntilKilled is a gateway as serve runs it, with a ledger that notes each writing in a file before it answers.
func serveUntilKilled(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, arrivalsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	l := &ledger{during: func(a arrival) error {
		if a.tool != "ledger.write" {
			return nil
		}
		_, err := f.WriteString(a.args + "\n")
		return err
	}}
	file := config.Default(filepath.Join(dir, "data"))
	file.Limits.CallsPerMinute = 1_000_000
	a, err := app.New(context.Background(), app.Config{
		File: file, Log: slog.New(slog.DiscardHandler), Version: "victim", Modules: map[string]app.Starter{"ledger": app.Start(l.start)},
	})
	if err != nil {
		return err
	}
	listener, err := a.ListenAt(context.Background(), "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Println(listener.Addr()); err != nil {
		return err
	}
	return a.Run(context.Background(), listener)
}

// TestPromise_P6_Crashes kills a gateway at random moments under load. After each start the log holds, no call that was
// answered lacks its row, what arrived downstream has one, and nothing stays under way.
func TestPromise_P6_Crashes(t *testing.T) {
	t.Parallel()
	kills := 60
	if testing.Short() {
		kills = 10
	}
	dir := t.TempDir()
	c := &crashes{t: t, dir: dir, answered: map[string]string{}}
	house := func() *world { return newWorldWith(t, gatetest.Config{Data: filepath.Join(dir, "data")}) }
	h := house()
	c.token = h.Person("ann", "ledger.read", "ledger.write").Issue(map[string]any{
		"tools": []string{"ledger.read", "ledger.write"}, "max_uses": 1_000_000,
	})
	h.Close()
	for i := range kills {
		c.once(i)
	}
	h = house()
	c.judge(h)
}

type crashes struct {
	t     *testing.T
	dir   string
	token gatetest.Token

	mu       sync.Mutex        // guards below
	answered map[string]string // id of the row to the outcome that the agent got
	sent     int
}

// once starts the gateway, looks at the log, calls as fast as it can, and kills it.
func (c *crashes) once(round int) {
	c.t.Helper()
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	victim := exec.CommandContext(c.t.Context(), self)
	victim.Env = append(os.Environ(), victimVariable+"="+c.dir)
	var complaints strings.Builder
	victim.Stderr = &complaints
	out, err := victim.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		c.t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = victim.Wait()
		c.t.Fatalf("round %d: the gateway does not start: %v %s", round, err, complaints.String())
	}
	c.afterStart(round)
	var agents sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 20 * time.Second}
	for worker := range 8 {
		agents.Go(func() { c.agent(client, strings.TrimSpace(address), fmt.Sprintf("%d-%d", round, worker)) })
	}
	<-time.After(time.Duration(rand.IntN(60_000)) * time.Microsecond) // the moment is random, in real time
	if err := victim.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	agents.Wait()
	_ = victim.Wait() // it was killed
	client.CloseIdleConnections()
}

// afterStart: the log holds, and what was under way when the gateway was killed has become rows. Its own jobs run already.
func (c *crashes) afterStart(round int) {
	c.t.Helper()
	if r := verify(c.t, filepath.Join(c.dir, "data"), ""); !r.OK || r.Sealed != "" {
		c.t.Fatalf("round %d: the log does not hold: %s %s", round, r.Fault, r.Sealed)
	}
	db := openFile(c.t, filepath.Join(c.dir, "data", "audit.db"))
	defer func() { _ = db.Close() }()
	n := 0
	if err := db.QueryRowContext(c.t.Context(), `SELECT count(*) FROM intent WHERE body NOT LIKE '%"job"%'`).Scan(&n); err != nil || n != 0 {
		c.t.Errorf("round %d: %d calls are still under way after a start (%v)", round, n, err)
	}
}

// agent calls until nobody answers.
func (c *crashes) agent(client *http.Client, address, name string) {
	for i := 0; ; i++ {
		tool := []string{"ledger.write", "ledger.read", "ledger.destroy"}[i%3]
		r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, "http://"+address+"/v1/tools/"+tool,
			strings.NewReader(fmt.Sprintf(`{"text":"%s-%d"}`, name, i)))
		if err != nil {
			c.t.Error(err)
			return
		}
		r.Header.Set("Authorization", "Bearer "+c.token.Text)
		r.Header.Set("Content-Type", "application/json")
		c.mu.Lock()
		c.sent++
		c.mu.Unlock()
		res, err := client.Do(r)
		if err != nil {
			return // it was killed
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			return
		}
		var answer struct{ ID, Code string }
		if err := json.Unmarshal(b, &answer); err != nil {
			c.t.Errorf("an answer that is none: %q", b)
			return
		}
		if res.StatusCode == http.StatusOK {
			answer.Code = outcome.OK.String()
		}
		if answer.ID == "" && answer.Code == outcome.NotAllowed.String() {
			continue // it stands in a summary
		}
		c.mu.Lock()
		c.answered[answer.ID] = answer.Code
		c.mu.Unlock()
	}
}

// judge compares what agents were told, what reached the ledger, and what the log says.
func (c *crashes) judge(h *world) {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(c.dir, arrivalsFile))
	if err != nil {
		c.t.Fatal(err)
	}
	arrived := strings.Split(strings.TrimSpace(string(b)), "\n")
	slices.Sort(arrived)
	if twice := len(arrived) - len(slices.Compact(slices.Clone(arrived))); twice != 0 {
		c.t.Errorf("%d calls were carried out twice", twice)
	}
	rows := map[string]string{}
	var written, unknown, used int64
	for _, r := range h.Rows() {
		rows[r.ID] = r.Outcome
		if r.Token != int64(c.token.ID) {
			continue
		}
		switch {
		case r.Tool == "ledger.write" && r.Outcome == outcome.OK.String():
			written++
		case r.Tool == "ledger.write" && r.Outcome == outcome.Unknown.String():
			unknown++
		}
		if r.Outcome == outcome.OK.String() || r.Outcome == outcome.Unknown.String() {
			used++
		}
	}
	for id, code := range c.answered {
		if rows[id] != code {
			c.t.Errorf("an agent was told %s as %s, and the log says %q", code, id, rows[id])
		}
	}
	// Whatever arrived has a row: ok if the row came before the kill, else unknown. What is ok did arrive.
	if n := int64(len(arrived)); n < written || n > written+unknown {
		c.t.Errorf("%d writings arrived; %d rows say ok and %d unknown", n, written, unknown)
	}
	type counted struct{ ID, Uses int64 }
	var list struct{ Tokens []counted }
	if err := json.Unmarshal(h.Operate("tokens.list", map[string]any{}).Bytes(), &list); err != nil {
		c.t.Fatal(err)
	}
	if !slices.Contains(list.Tokens, counted{int64(c.token.ID), used}) {
		c.t.Errorf("the token has %d rows, and its uses are %+v", used, list.Tokens)
	}
	if written == 0 || unknown == 0 || len(c.answered) == 0 {
		c.t.Errorf("%d written, %d unknown, %d answered: the kills came at no interesting moment", written, unknown, len(c.answered))
	}
	c.t.Logf("%d calls sent, %d answered with a row, %d written, %d unknown, %d rows", c.sent, len(c.answered), written, unknown, len(rows))
}
