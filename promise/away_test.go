package promise_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/gatetest"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// TestPromise_P6_TheDatabaseGoesAway: PostgreSQL fails under load, with two replicas on it, and comes back, several times.
// Meanwhile calls are refused and neither replica is ready. No call was answered without its row, whatever arrived has
// exactly one, and nothing is left under way.
func TestPromise_P6_TheDatabaseGoesAway(t *testing.T) {
	t.Parallel()
	server := storetest.Own(t)
	w := emptyWorld(t)
	c := gatetest.Config{YAML: "limits: {in_flight: 200, calls_per_minute: 1000000}\n"}
	w.shareSource(&c, server.Source())
	w.start(c)
	ann := w.Person("ann", "ledger.read", "ledger.write", "audit.get")
	told := &answers{rows: map[string]string{}, none: map[outcome.Code]int64{}}
	stop := make(chan struct{})
	var all sync.WaitGroup
	var sent atomic.Int64
	for i, door := range w.Doors() {
		for range 2 {
			all.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					tool := []string{"ledger.write", "ledger.read", "ledger.destroy"}[(n+i)%3]
					got := door.Call(ann.Token.Text, tool, fmt.Sprintf(`{"text":"call-%d"}`, sent.Add(1)))
					switch told.note(got) {
					case outcome.OK, outcome.NotAllowed:
					case outcome.Unavailable, outcome.Unknown:
						<-time.After(2 * time.Millisecond)
					default:
						t.Errorf("%s: %s (%s) %s", door.Title(), got.Code, got.Reason, got.Raw)
					}
				}
			})
		}
	}
	rounds := 3
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		<-time.After(300 * time.Millisecond)
		server.Stop()
		for i, r := range w.Replicas() {
			r := &world{House: r, t: t, log: w.log}
			if status, body := r.ready(); status != http.StatusServiceUnavailable {
				t.Errorf("without its database replica %d says of itself %d %s", i, status, body)
			}
		}
		if got := w.Doors()[0].Call(ann.Token.Text, "ledger.write", `{"text":"meanwhile"}`); got.Code != outcome.Unavailable || got.ID != "" {
			t.Errorf("without a database: %s (%s)", got.Code, got.Raw)
		}
		server.Start()
		for _, r := range w.Replicas() {
			(&world{House: r, t: t, log: w.log}).untilReady(http.StatusOK)
		}
	}
	<-time.After(100 * time.Millisecond)
	close(stop)
	all.Wait()
	w.Restart() // which writes summaries, and settles what was lost
	w.compareWithLog(told, ann.Token)
	if told.none[outcome.Unavailable] == 0 {
		t.Error("nobody was turned away: the test shows nothing")
	}
	t.Logf("%d answers with a row of their own, others %v", len(told.rows), told.none)
}

// answers are what agents were told, through all entries.
type answers struct {
	mu   sync.Mutex
	rows map[string]string      // id of the row to its outcome
	none map[outcome.Code]int64 // those without a row of their own
}

func (a *answers) note(got gatetest.Reply) outcome.Code {
	a.mu.Lock()
	defer a.mu.Unlock()
	if got.ID != "" {
		a.rows[got.ID] = got.Code.String()
	} else {
		a.none[got.Code]++
	}
	return got.Code
}

// ready is what /readyz answers.
func (w *world) ready() (status int, body string) {
	w.t.Helper()
	res, text := w.Send(http.MethodGet, "/readyz", "", "", nil)
	return res.StatusCode, text
}

func (w *world) untilReady(want int) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
		status, body := w.ready()
		if status == want {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("readyz says %d %s, and the process %s", status, body, w.log)
		}
	}
}

// compareWithLog: the log holds, says of every call what its caller was told, and of whatever arrived downstream exactly
// once that it is ok or unknown; nothing is under way.
func (w *world) compareWithLog(told *answers, reader gatetest.Token) {
	w.t.Helper()
	var arrived []string
	for _, a := range w.ledger.since(0) {
		if a.tool == "ledger.write" {
			arrived = append(arrived, a.args)
		}
	}
	slices.Sort(arrived)
	rows := map[string]string{}
	var writings []gatetest.Row
	for _, r := range w.Rows() {
		rows[r.ID] = r.Outcome
		if r.Tool == "ledger.write" && r.Rule != "summary" {
			writings = append(writings, r)
		}
	}
	for id, code := range told.rows {
		if rows[id] != code {
			w.t.Errorf("an agent was told %s as %s, and the log says %q", code, id, rows[id])
		}
	}
	mustHaveOneRow(w, reader, writings, arrived)
	for code, n := range told.none {
		if code != outcome.Unavailable && code != outcome.Unknown && code != outcome.NotAllowed { // which stands in a summary
			w.t.Errorf("%d agents were told %s, and have no row", n, code)
		}
	}
	unknown := int64(0)
	for _, r := range writings {
		if r.Outcome == outcome.Unknown.String() {
			unknown++
		}
	}
	if unknown < told.none[outcome.Unknown] {
		w.t.Errorf("%d agents were told that it is unknown, and %d rows say so", told.none[outcome.Unknown], unknown)
	}
	intents := column(w.t, w.database("audit"), `SELECT body FROM intent WHERE body NOT LIKE '%"job"%'`)
	for _, i := range intents {
		if !strings.Contains(i, `"operator":true`) {
			w.t.Errorf("still under way: %s", i)
		}
	}
	w.Close()
	if r := verify(w.t, w.Data, ""); !r.OK || r.Sealed != "" {
		w.t.Errorf("the log does not hold: %s %s", r.Fault, r.Sealed)
	}
}

// TestPromise_P6_AReplicaThatDies: two replicas are processes of their own on one PostgreSQL, under load, and one of them is
// killed at a random moment, again and again. It comes back on its data folder at once, but for the last time: then the
// other one settles what it left when its lease has run out. Every call that was answered has the row that it was answered
// with, and every call that arrived has exactly one, which says ok or unknown (T21).
func TestPromise_P6_AReplicaThatDies(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	kills := 12
	switch {
	case soaking():
		kills = 200
	case testing.Short():
		kills = 4
	}
	c := &crashes{t: t, dir: t.TempDir(), owner: source.Owner, answered: map[string]string{}}
	keepLogins(t, c.dir, source)
	h := c.house()
	ann := h.Person("ann", "ledger.read", "ledger.write", "audit.get")
	c.token = ann.Issue(map[string]any{"tools": []string{"ledger.read", "ledger.write", "audit.get"}, "max_uses": 1_000_000})
	h.Close()
	dirs := []string{c.dir, c.secondFolder()}
	keepLogins(t, dirs[1], source)

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	var agents [2]sync.WaitGroup
	begin := func(at, round int) (kill func()) {
		victim, address := startVictim(t, dirs[at])
		for worker := range 4 {
			agents[at].Go(func() { c.agent(client, address, fmt.Sprintf("%d-%d-%d", at, round, worker)) })
		}
		return func() {
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			agents[at].Wait()
			_ = victim.Wait() // it was killed
		}
	}
	running := []func(){begin(0, 0), begin(1, 0)}
	db := openSchema(t, source.Owner, "audit", "")
	var dead, killed int
	for {
		<-time.After(time.Duration(20_000+rand.IntN(60_000)) * time.Microsecond) // the moment is random, in real time
		dead = rand.IntN(2)
		running[dead]()
		killed++
		n, err := strconv.Atoi(column(t, db, `SELECT count(*) FROM intent i JOIN replica r ON r.id = i.replica WHERE r.place = $1`,
			store.FolderIdentity(filepath.Join(dirs[dead], "data")))[0])
		if err != nil {
			t.Fatal(err)
		}
		if c.left += n; killed >= kills && (c.left > 0 || killed >= 5*kills) { // on a busy machine few calls are under way
			break
		}
		running[dead] = begin(dead, killed)
	}
	c.untilSettledByTheOther()
	running[1-dead]()
	c.t.Logf("killed %d times, which left %d calls under way", killed, c.left)
	c.dir = dirs[1-dead] // whoever starts there need not wait for a lease to end
	last := c.house()
	c.untilSettled(kills)
	c.mergeArrivals(dirs...)
	c.judge(last)
	last.Close()
	mustVerify(t, victimFile(c.dir))
}

// secondFolder makes the folder of a second replica, with the keys of the first.
func (c *crashes) secondFolder() string {
	c.t.Helper()
	dir := c.t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		c.t.Fatal(err)
	}
	keys := filepath.Join(dir, "data", "keys")
	if err := os.CopyFS(keys, os.DirFS(filepath.Join(c.dir, "data", "keys"))); err != nil {
		c.t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(keys, "master.json"), filepath.Join(keys, "audit.json")} {
		if err := os.Chmod(path, 0o600); err != nil { // copying opens it to everybody
			c.t.Fatal(err)
		}
	}
	return dir
}

// untilSettledByTheOther waits until no call is under way whose replica has no lease that runs: those of the dead one, since
// the other one goes on.
func (c *crashes) untilSettledByTheOther() {
	c.t.Helper()
	db := openSchema(c.t, c.owner, "audit", "")
	const left = `SELECT count(*) FROM intent i LEFT JOIN replica r ON r.id = i.replica
		WHERE r.id IS NULL OR r.until < CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)`
	const lives = `SELECT count(*) FROM replica WHERE until > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)`
	for end := time.Now().Add(30 * time.Second); ; <-time.After(50 * time.Millisecond) {
		if column(c.t, db, lives)[0] == "1" && column(c.t, db, left)[0] == "0" {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("%s calls of a replica that died are not settled, %s leases run", column(c.t, db, left)[0], column(c.t, db, lives)[0])
		}
	}
}

// mergeArrivals puts together what arrived at both replicas' ledgers.
func (c *crashes) mergeArrivals(dirs ...string) {
	c.t.Helper()
	var all []byte
	for _, dir := range dirs {
		b, err := os.ReadFile(filepath.Join(dir, arrivalsFile))
		if err != nil {
			c.t.Fatal(err)
		}
		if len(b) == 0 {
			c.t.Error("nothing arrived at one of the replicas: the test shows little")
		}
		all = append(all, b...)
	}
	if err := os.WriteFile(filepath.Join(c.dir, arrivalsFile), all, 0o600); err != nil {
		c.t.Fatal(err)
	}
}
