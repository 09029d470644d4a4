package promise_test

import (
	"bufio"
	"context"
	"database/sql"
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
	"gatehouse/secret"
	"gatehouse/store"
	"gatehouse/store/storetest"
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
	file := victimFile(dir)
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

// victimFile is the configuration of a gateway that will be killed: on PostgreSQL if its logins lie beside the data folder.
func victimFile(dir string) config.File {
	file := config.Default(filepath.Join(dir, "data"))
	file.Limits.CallsPerMinute = 1_000_000
	file.Store = storeBeside(dir)
	return file
}

// storeBeside says where a gateway keeps its databases whose data folder lies in dir.
func storeBeside(dir string) (s config.Store) {
	if _, err := os.Stat(filepath.Join(dir, "run")); err == nil {
		s.PostgresDSN, s.PostgresOwnerDSN = config.Secret{File: filepath.Join(dir, "run")}, config.Secret{File: filepath.Join(dir, "owner")}
	}
	return s
}

// keepLogins writes the logins of a PostgreSQL database where storeBeside finds them.
func keepLogins(t *testing.T, dir string, source store.Source) {
	t.Helper()
	for name, dsn := range map[string]string{"run": source.Run.Reveal(), "owner": source.Owner.Reveal()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(dsn), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// soaking reports whether long runs are wanted (make soak).
func soaking() bool { return os.Getenv("GATEHOUSE_SOAK") == "1" }

// TestPromise_P6_Crashes kills a gateway at random moments under load, on each engine. After each start the log holds and
// nothing is under way; in the end every call that was answered has the row that it was answered with, and every call that
// reached the downstream system has exactly one, which says ok or unknown (T21).
func TestPromise_P6_Crashes(t *testing.T) {
	t.Parallel()
	kills := map[string]int{"sqlite": 40, "postgres": 20}
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		c := &crashes{t: t, dir: t.TempDir(), answered: map[string]string{}}
		engine := "sqlite"
		if !source.Run.IsZero() {
			engine = "postgres"
			c.owner = source.Owner
			keepLogins(t, c.dir, source)
		}
		if engine == "sqlite" && onReplicas {
			t.Skip("this run is about PostgreSQL")
		}
		n := kills[engine]
		switch {
		case soaking():
			n = 200
		case testing.Short():
			n = 5
		}
		h := c.house()
		ann := h.Person("ann", "ledger.read", "ledger.write", "audit.get")
		c.token = ann.Issue(map[string]any{"tools": []string{"ledger.read", "ledger.write", "audit.get"}, "max_uses": 1_000_000})
		h.Close()
		done := 0
		for done < n || engine == "postgres" && c.left == 0 && done < 5*n { // on a busy machine few calls are under way
			c.once(done)
			done++
		}
		c.t.Logf("%s: killed %d times", engine, done)
		c.judge(c.house())
	})
}

type crashes struct {
	t     *testing.T
	dir   string
	owner secret.Text // of the PostgreSQL database; empty: SQLite
	token gatetest.Token
	left  int // calls that PostgreSQL had under way after kills

	mu       sync.Mutex        // guards below
	answered map[string]string // id of the row to the outcome that the agent got
	sent     int
}

// house is the gateway that is killed, while it is not running, in this process.
func (c *crashes) house() *world {
	return newWorldWith(c.t, gatetest.Config{
		Data: filepath.Join(c.dir, "data"), Store: storeBeside(c.dir), YAML: "limits: {calls_per_minute: 1000000}\n",
	})
}

// once starts the gateway, looks at the log, calls as fast as it can, and kills it.
func (c *crashes) once(round int) {
	c.t.Helper()
	victim, address := startVictim(c.t, c.dir)
	c.afterStart(round)
	var agents sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 20 * time.Second}
	for worker := range 8 {
		agents.Go(func() { c.agent(client, address, fmt.Sprintf("%d-%d", round, worker)) })
	}
	if round%2 == 0 { // on a busy machine the first answer may come late
		c.untilOneMore()
	}
	<-time.After(time.Duration(rand.IntN(60_000)) * time.Microsecond) // the moment is random, in real time
	if err := victim.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	agents.Wait()
	_ = victim.Wait() // it was killed
	client.CloseIdleConnections()
	if !c.owner.IsZero() { // SQLite's file stays as the dead process left it
		c.left += underWay(c.t, c.dir, c.owner)
	}
}

// untilOneMore waits for the next answer.
func (c *crashes) untilOneMore() {
	had := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.answered)
	}
	before := had()
	for end := time.Now().Add(10 * time.Second); had() == before && time.Now().Before(end); <-time.After(time.Millisecond) {
	}
}

// startVictim starts a gateway as a process of its own, and gives its address.
func startVictim(t *testing.T, dir string) (victim *exec.Cmd, address string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim = exec.CommandContext(t.Context(), self)
	victim.Env = append(os.Environ(), victimVariable+"="+dir)
	var complaints strings.Builder
	victim.Stderr = &complaints
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	address, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = victim.Wait()
		t.Fatalf("the gateway does not start: %v %s", err, complaints.String())
	}
	return victim, strings.TrimSpace(address)
}

// afterStart: the log holds, and what was under way when the gateway was killed has become rows. Its own jobs run already.
func (c *crashes) afterStart(round int) {
	c.t.Helper()
	mustVerify(c.t, victimFile(c.dir))
	c.untilSettled(round)
}

// untilSettled waits until nothing is under way.
func (c *crashes) untilSettled(round int) {
	c.t.Helper()
	// SQLite's file is as the dead process left it. A PostgreSQL server may still carry out the COMMIT that it was sent last;
	// what that begins is found by the next look, 2 s later.
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		n := underWay(c.t, c.dir, c.owner)
		if n == 0 {
			return
		}
		if c.owner.IsZero() || time.Now().After(end) {
			c.t.Fatalf("round %d: %d calls are still under way after a start", round, n)
		}
	}
}

// mustVerify verifies a log with all its payloads, as the operator would.
func mustVerify(t *testing.T, file config.File) app.LogReport {
	t.Helper()
	r, err := app.VerifyLog(t.Context(), file, app.Kept{}, nil)
	if err != nil || !r.OK || r.Sealed != "" {
		t.Fatalf("the log does not hold: %v %s %s", err, r.Fault, r.Sealed)
	}
	return r
}

// underWay counts the calls of agents that have an intent, by a connection of its own.
func underWay(t *testing.T, dir string, owner secret.Text) (n int) {
	t.Helper()
	var db *sql.DB
	table := "intent"
	if owner.IsZero() {
		db = openFile(t, filepath.Join(dir, "data", "audit.db"))
	} else {
		table = "audit.intent"
		var err error
		if db, err = sql.Open("pgx", owner.Reveal()); err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table+` WHERE body NOT LIKE '%"job"%'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
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
	var writings []gatetest.Row
	rows := map[string]string{}
	var written, unknown, used int64
	for _, r := range h.Rows() {
		rows[r.ID] = r.Outcome
		if r.Token != int64(c.token.ID) {
			continue
		}
		if r.Tool == "ledger.write" {
			writings = append(writings, r)
			switch r.Outcome {
			case outcome.OK.String():
				written++
			case outcome.Unknown.String():
				unknown++
			}
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
	type counted struct{ ID, Uses int64 }
	var list struct{ Tokens []counted }
	if err := json.Unmarshal(h.Operate("tokens.list", map[string]any{}).Bytes(), &list); err != nil {
		c.t.Fatal(err)
	}
	if !slices.Contains(list.Tokens, counted{int64(c.token.ID), used}) {
		c.t.Errorf("the token has %d rows, and its uses are %+v", used, list.Tokens)
	}
	mustHaveOneRow(h, c.token, writings, arrived) // reading takes uses, too
	if written == 0 || unknown == 0 || len(c.answered) == 0 {
		c.t.Errorf("%d written, %d unknown, %d answered: the kills came at no interesting moment", written, unknown, len(c.answered))
	}
	c.t.Logf("%d calls sent, %d answered with a row, %d written, %d unknown, %d rows", c.sent, len(c.answered), written, unknown, len(rows))
}

// argumentsOf reads what a call was made with from its row.
func argumentsOf(h *world, reader gatetest.Token, id string) string {
	h.t.Helper()
	got := h.CallAs(reader.Text, "audit.get", fmt.Sprintf(`{"id":%q}`, id))
	if got.Code != outcome.OK {
		h.t.Fatalf("reading the row %s: %s (%s)", id, got.Code, got.Reason)
	}
	payload, _ := got.Result.Member("payload")
	args, there := payload.Member("arguments")
	if !there {
		h.t.Fatalf("the row %s has no arguments: %s", id, got.Result)
	}
	return args.String()
}

// mustHaveOneRow compares the rows of a tool with what arrived downstream, by what the calls were made with: whatever
// arrived has exactly one, ok or unknown; what is ok did arrive; and no call has two. arrived is sorted.
func mustHaveOneRow(h *world, reader gatetest.Token, rows []gatetest.Row, arrived []string) {
	h.t.Helper()
	of := map[string][]string{} // arguments to the outcomes of their rows
	for _, r := range rows {
		args := argumentsOf(h, reader, r.ID)
		of[args] = append(of[args], r.Outcome)
	}
	for args, outcomes := range of {
		if len(outcomes) != 1 {
			h.t.Errorf("the call %s has the rows %v, want one", args, outcomes)
		}
		if _, did := slices.BinarySearch(arrived, args); !did && slices.Contains(outcomes, outcome.OK.String()) {
			h.t.Errorf("the call %s stands as ok and never arrived", args)
		}
	}
	for _, args := range arrived {
		if got := of[args]; len(got) != 1 || got[0] != outcome.OK.String() && got[0] != outcome.Unknown.String() {
			h.t.Errorf("the call %s arrived and has the rows %v, want one that says ok or unknown", args, got)
		}
	}
}
