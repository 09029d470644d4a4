package promise_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// disk is a real file system of 16 MiB with a gateway's data folder in it, and whoever fills it.
type disk struct {
	t      *testing.T
	dir    string
	filler string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a file system")
	}
	d := &disk{t: t, dir: t.TempDir()}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size=16m,mode=700"); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	d.filler = filepath.Join(d.dir, "filler")
	return d
}

// fill takes every byte that is left.
func (d *disk) fill() {
	d.t.Helper()
	f, err := os.OpenFile(d.filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		n, err := f.Write(make([]byte, size))
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			d.t.Fatal(err)
		}
		if n < size {
			size /= 2
		}
	}
	if err := f.Close(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) empty() {
	d.t.Helper()
	if err := os.Remove(d.filler); err != nil {
		d.t.Fatal(err)
	}
}

// TestPromise_P6_ARealDiskRunsFull (T27): a file system of 16 MiB is filled under calls, and freed again, several times.
func TestPromise_P6_ARealDiskRunsFull(t *testing.T) {
	t.Parallel()
	if onReplicas {
		t.Skip("the disk is PostgreSQL's: what becomes of calls when it is full or away is TestPromise_P6_TheDatabaseGoesAway")
	}
	d := newDisk(t)
	w := newWorldWith(t, gatetest.Config{Data: filepath.Join(d.dir, "data"), YAML: "limits: {in_flight: 200, calls_per_minute: 1000000}\n"})
	ann := w.Person("ann", "ledger.read", "ledger.destroy")
	told := &answers{rows: map[string]string{}, none: map[outcome.Code]int64{}}
	inside, release := make(chan struct{}, 100), make(chan struct{})
	w.ledger.meanwhile(func(a arrival) error {
		if strings.Contains(a.args, "waits") {
			inside <- struct{}{}
			<-release
		}
		return nil
	})
	doors := w.Doors()
	const running = 24
	var all sync.WaitGroup
	for i := range running {
		all.Go(func() {
			tool := []string{"ledger.destroy", "ledger.destroy", "ledger.read"}[i%3]
			args := fmt.Sprintf(`{"text":"waits %s"}`, strings.Repeat("x", 12<<10))
			if code := told.note(doors[i%len(doors)].Call(ann.Token.Text, tool, args)); code != outcome.OK {
				t.Errorf("a call that was under way when the disk ran full: %s", code)
			}
		})
	}
	for range running {
		<-inside
	}
	d.fill()
	for end := time.Now().Add(20 * time.Second); ; { // what the write-ahead log has left is used up first
		if told.note(doors[0].Call(ann.Token.Text, "ledger.destroy", `{"text":"fills"}`)) == outcome.Unavailable {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the full disk hinders nobody")
		}
	}
	if status, body := w.ready(); status != 503 || !strings.Contains(body, "disk full") {
		t.Errorf("readyz: %d %s", status, body)
	}
	before := w.ledger.count()
	for i := range 30 {
		tool := []string{"ledger.destroy", "ledger.read", "ledger.write", "ledger.none"}[i%4]
		if code := told.note(doors[i%len(doors)].Call(ann.Token.Text, tool, `{}`)); code != outcome.Unavailable {
			t.Errorf("a new call of %s while the disk is full: %s", tool, code)
		}
	}
	if w.ledger.count() != before {
		t.Error("new calls were carried out")
	}
	close(release)
	all.Wait()
	if status, _ := w.ready(); status != 503 {
		t.Errorf("readyz after the calls under way had their rows: %d", status)
	}
	d.empty()
	w.untilReady(200)
	if info, err := os.Stat(filepath.Join(w.Data, "audit.reserve")); err != nil || info.Sys().(*syscall.Stat_t).Blocks*512 < info.Size() || info.Size() < 1<<20 {
		t.Errorf("the reserve afterwards: %+v, %v", info, err)
	}
	if got := awayRows(w); len(got) != 1 || got[0].Count != 31 {
		t.Errorf("rows of those who were turned away, want one of 31 calls:\n%s", gatetest.Print(got))
	}
	w.underLoad(d, ann, told)
	w.settled(told)
}

func awayRows(w *world) (rows []gatetest.Row) {
	for _, r := range w.Rows() {
		if r.Rule == "disk full" {
			rows = append(rows, r)
		}
	}
	return rows
}

// underLoad fills and frees the disk while calls come all the time.
func (w *world) underLoad(d *disk, ann gatetest.Person, told *answers) {
	w.t.Helper()
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i, door := range w.Doors() {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				tool := []string{"ledger.destroy", "ledger.read", "ledger.write"}[(n+i)%3]
				if told.note(door.Call(ann.Token.Text, tool, `{"text":"load"}`)) == outcome.Unavailable {
					<-time.After(5 * time.Millisecond)
				}
			}
		})
	}
	for range 3 {
		d.fill()
		w.untilReady(503)
		d.fill() // what the reserve gave back, too: now nobody's row can be written
		<-time.After(100 * time.Millisecond)
		d.empty()
		w.untilReady(200)
	}
	close(stop)
	all.Wait()
}

// settled: the log holds, and says of every call what its caller was told.
func (w *world) settled(told *answers) {
	w.t.Helper()
	arrived := 0
	for _, a := range w.ledger.since(0) {
		if a.tool == "ledger.destroy" {
			arrived++
		}
	}
	w.Close() // writes the summaries that wait for their minute to end
	if r := verify(w.t, w.Data, ""); !r.OK {
		w.t.Errorf("the log does not hold: %s %s", r.Fault, r.Sealed)
	}
	w.Restart()
	rows := map[string]string{}
	var away, unknown int64
	carried := 0
	for _, r := range w.Rows() {
		rows[r.ID] = r.Outcome
		switch {
		case r.Rule == "disk full", r.Rule == "summary":
			away += r.Count
		case r.Rule == "crash":
			unknown++
			carried++
		case r.Tool == "ledger.destroy" && r.Outcome == outcome.OK.String():
			carried++
		}
	}
	for id, code := range told.rows {
		if rows[id] != code {
			w.t.Errorf("an agent was told %s as %s, and the log says %q", code, id, rows[id])
		}
	}
	if carried != arrived {
		w.t.Errorf("%d calls with effects arrived, and %d rows say so", arrived, carried)
	}
	without := told.none[outcome.Unavailable] + told.none[outcome.NotAllowed] // of those, what is too many in a minute
	if away != without || unknown != told.none[outcome.Unknown] {
		w.t.Errorf("%d calls stand in rows for many and %d as unknown; %v were told so", away, unknown, told.none)
	}
	w.t.Logf("%d answers with a row of their own, others %v", len(told.rows), told.none)
}
