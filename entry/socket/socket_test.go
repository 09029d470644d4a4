package socket_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/canon"
	"gatehouse/entry/socket"
	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/secret"
)

func args(t *testing.T, v any) canon.Value {
	t.Helper()
	c, err := canon.From(v)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheOperatorCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, folder(t, 0))
	c := w.dial()
	for _, tt := range []struct {
		name, tool string
		args       any
		want       outcome.Code
		result     string
	}{
		{"a tool of the house", "people.list", echo{"é\n\u2028"}, outcome.OK, `{"text":"é\n` + "\u2028" + `"}`},
		{"its exported name", "people__list", echo{}, outcome.OK, `{}`},
		{"a tool that is not the operator's", "people.downstream", echo{}, outcome.NotAllowed, ""},
		{"no such tool", "nothing.there", echo{}, outcome.NotAllowed, ""},
		{"no name at all", "", echo{}, outcome.NotAllowed, ""},
		{"a member that is not known", "people.list", map[string]any{"texd": 1}, outcome.Invalid, ""},
		{"nothing of that name", "people.list", echo{"missing"}, outcome.NotFound, ""},
		{"a long result", "people.enable", long{3 << 20}, outcome.OK, `{"text":"` + strings.Repeat("x", 3<<20) + `"}`},
		{"a result that no line holds", "people.enable", long{socket.MaxLine}, outcome.OK, ""},
		{"and one more call", "people.list", echo{"a"}, outcome.OK, `{"text":"a"}`},
	} {
		o, err := c.Call(t.Context(), tt.tool, args(t, tt.args))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if o.Code != tt.want || o.Result.String() != tt.result {
			t.Errorf("%s: %s %.80s, want %s %.80s", tt.name, o.Code, o.Result, tt.want, tt.result)
		}
		if o.ID.IsZero() {
			t.Errorf("%s: there is no row", tt.name)
		}
		if tt.want == outcome.Invalid && (len(o.Faults) != 1 || o.Faults[0].Path != "/texd") {
			t.Errorf("%s: faults %v", tt.name, o.Faults)
		}
		if (tt.want != outcome.OK || tt.result == "") != (o.Reason != "") {
			t.Errorf("%s: the reason is %q", tt.name, o.Reason)
		}
		if rows := w.rowsOf(o.ID); len(rows) != 1 || rows[0].Outcome != o.Code {
			t.Errorf("%s: the answer says %s, and the log has %v", tt.name, o.Code, rows)
		}
	}
	for _, r := range w.seen() {
		if r.Entry != "socket" || r.Outcome == outcome.OK && !r.Operator {
			t.Errorf("row %s: entry %q, operator %v", r.Tool, r.Entry, r.Operator)
		}
		if runtime.GOOS == "linux" {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			if r.Peer.PID != os.Getpid() || r.Peer.UID != os.Getuid() || r.Peer.Program != self {
				t.Errorf("row %s: peer %+v", r.Tool, r.Peer)
			}
		}
	}
}

// A proof is good for one connection, by one who reads the key.
func TestProofs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, folder(t, 0))
	old := w.proved()
	good := func(nonce string) string { return `{"version":1,"mac":"` + w.mac(nonce) + `"}` + "\n" }
	for _, tt := range []struct {
		name   string
		line   func(nonce string) string
		answer string // what its beginning is
		rows   int
	}{
		{"the nonce of another connection", func(string) string { return good(old.hello.Nonce) }, `{"error":"the proof`, 1},
		{"no proof", func(string) string { return `{"version":1,"mac":""}` + "\n" }, `{"error":"the proof`, 1},
		{"not hexadecimal", func(string) string { return `{"version":1,"mac":"zz"}` + "\n" }, `{"error":"the proof`, 1},
		{"the nonce itself", func(n string) string { return `{"version":1,"mac":"` + n + `"}` + "\n" }, `{"error":"the proof`, 1},
		{"a proof that is cut", func(n string) string { return `{"version":1,"mac":"` + w.mac(n)[:62] + `"}` + "\n" }, `{"error":"the proof`, 1},
		{"a proof and more", func(n string) string { return `{"version":1,"mac":"` + w.mac(n) + `00"}` + "\n" }, `{"error":"the proof`, 0}, // the sixth in a minute: a summary later
		{"version 2", func(n string) string { return strings.Replace(good(n), "1", "2", 1) }, `{"error":"the running server speaks another version`, 0},
		{"version 2 with members of its own", func(string) string { return `{"version":2,"proof":{}}` + "\n" }, `{"error":"the running server speaks another version`, 0},
		{"no version", func(n string) string { return `{"mac":"` + w.mac(n) + `"}` + "\n" }, `{"error":"the running server speaks another version`, 0},
		{"another member", func(n string) string { return strings.Replace(good(n), "{", `{"as":"ada",`, 1) }, "EOF", 0},
		{"a member twice", func(n string) string { return strings.Replace(good(n), "{", `{"version":1,`, 1) }, "EOF", 0},
		{"a call without proof", func(string) string { return `{"id":1,"tool":"people.list"}` + "\n" }, `{"error":"the running server`, 0},
		{"no JSON", func(string) string { return "GET / HTTP/1.1\r\n" }, "EOF", 0},
		{"a line that is too long", func(string) string { return strings.Repeat(" ", socket.MaxGreeting) }, "EOF", 0},
	} {
		w.seen()
		r, began := w.greeted(), time.Now()
		r.say(tt.line(r.hello.Nonce))
		if got := r.take(); !strings.HasPrefix(got, tt.answer) {
			t.Errorf("%s: answered %s, want %s", tt.name, got, tt.answer)
		}
		if got := r.take(); got != "EOF" {
			t.Errorf("%s: the connection goes on with %s", tt.name, got)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s: answered after %s", tt.name, took)
		}
		rows := w.seen()
		if len(rows) != tt.rows {
			t.Errorf("%s: %d rows, want %d", tt.name, len(rows), tt.rows)
		}
		for _, row := range rows {
			if row.Outcome != outcome.Unauthenticated || row.Entry != "socket" || row.Operator {
				t.Errorf("%s: row %+v", tt.name, row)
			}
		}
	}
	if a, b := w.greeted(), w.greeted(); a.hello.Nonce == b.hello.Nonce || len(a.hello.Nonce) != 64 {
		t.Errorf("nonces %s and %s", a.hello.Nonce, b.hello.Nonce)
	}
	old.say(`{"id":1,"tool":"people.list"}` + "\n")
	if got := old.take(); !strings.Contains(got, `"code":"ok"`) {
		t.Errorf("the good connection: %s", got)
	}
}

func TestLinesOfAProvedClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, folder(t, 0))
	call := `{"id":7,"tool":"people.list","arguments":{}}` + "\n"
	for _, tt := range []struct{ name, line, want string }{
		{"another member", `{"id":1,"tool":"people.list","as":"root"}` + "\n", `"code":"invalid"`},
		{"an array", `[]` + "\n", `"code":"invalid"`},
		{"an empty line", "\n", `"code":"invalid"`},
		{"a name twice", `{"id":1,"tool":"people.list","tool":"people.add"}` + "\n", `"code":"invalid"`},
		{"not UTF-8", "{\"id\":1,\"tool\":\"\xff\"}\n", `"code":"invalid"`},
		{"two calls at once", call + call, `"id":7`},
		{"a carriage return", strings.Replace(call, "\n", "\r\n", 1), `"code":"ok"`},
		{"arguments that are no object", `{"id":1,"tool":"people.list","arguments":[1]}` + "\n", `"code":"invalid"`},
	} {
		r := w.proved()
		r.say(tt.line)
		if got := r.take(); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	w.seen()
	r := w.proved()
	r.say(strings.TrimSuffix(call, "\n"))
	if err := r.Conn.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := r.take(); got != "EOF" || len(w.seen()) != 0 {
		t.Errorf("a line without its end was taken for a call: %s", got)
	}
}

func TestTwoClientsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, folder(t, 0))
	slow, quick := w.dial(), w.dial()
	done := make(chan gate.Outcome, 1)
	go func() {
		o, err := slow.Call(context.Background(), "people.add", args(t, echo{"slow"}))
		if err != nil {
			t.Error(err)
		}
		done <- o
	}()
	<-w.inside
	var running sync.WaitGroup
	for range 8 {
		c := w.dial()
		running.Go(func() {
			for range 20 {
				if o, err := c.Call(context.Background(), "people.list", args(t, echo{"b"})); err != nil || o.Code != outcome.OK {
					t.Errorf("%v %v", o, err)
				}
			}
		})
	}
	running.Wait()
	if o, err := quick.Call(t.Context(), "people.list", args(t, echo{})); err != nil || o.Code != outcome.OK {
		t.Errorf("while another call runs: %v %v", o, err)
	}
	close(w.release)
	if o := <-done; o.Code != outcome.OK || o.Result.String() != `{"text":"slow"}` {
		t.Errorf("the slow call: %v", o)
	}
}

func TestCloseWhileACallRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, folder(t, 0))
	c := w.dial()
	failed := make(chan error, 1)
	go func() {
		_, err := c.Call(context.Background(), "people.add", canon.Object())
		failed <- err
	}()
	<-w.inside
	w.close()
	if err := <-failed; err == nil {
		t.Error("the client was given an outcome by a server that is closed")
	}
	rows := w.seen()
	if len(rows) != 1 || rows[0].Outcome != outcome.Cancelled {
		t.Errorf("rows %+v, want one that says cancelled", rows)
	}
	if _, err := os.Lstat(filepath.Join(w.data, socket.SocketFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, err := socket.Dial(t.Context(), w.data, dial); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("dialling a server that is closed: %v", err)
	}
	w.close()
}

func TestAClientThatLeavesCancelsItsCall(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*world){
		"its context ends": func(w *world) {
			ctx, cancel := context.WithCancel(w.t.Context())
			c := w.dial()
			go func() {
				<-w.inside
				cancel()
			}()
			if _, err := c.Call(ctx, "people.add", canon.Object()); !errors.Is(err, context.Canceled) {
				w.t.Errorf("Call: %v", err)
			}
			_ = c.Close()
		},
		"it closes": func(w *world) {
			r := w.proved()
			r.say(`{"id":1,"tool":"people.add"}` + "\n")
			<-w.inside
			_ = r.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, folder(t, 0))
			leave(w)
			var rows []gate.Row
			eventually(t, "there is a row", func() bool {
				rows = append(rows, w.seen()...)
				return len(rows) > 0
			})
			if rows[0].Outcome != outcome.Cancelled {
				t.Errorf("the row says %s", rows[0].Outcome)
			}
		})
	}
}

func TestLongDataFolders(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the system's limit holds")
	}
	for _, n := range []int{80, 86, 87, 88, 92, 93, 94, 95, 106, 107, 108, 109, 400, 3000} {
		w := newWorld(t, folder(t, n))
		path := filepath.Join(w.data, socket.SocketFile)
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("%d bytes: %v, %v", n, info, err)
		}
		if o, err := w.dial().Call(t.Context(), "people.list", canon.Object()); err != nil || o.Code != outcome.OK {
			t.Errorf("%d bytes: %v, %v", n, o, err)
		}
		w.close()
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%d bytes: the socket is still there", n)
		}
	}
}

func TestASocketThatWasLeftBehind(t *testing.T) {
	t.Parallel()
	data := folder(t, 0)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(data, socket.SocketFile))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	if err := socket.WriteKey(data, secret.New(strings.Repeat("00", 32))); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.Dial(t.Context(), data, dial); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("dialling where nobody listens: %v", err)
	}
	w := newWorld(t, data)
	if o, err := w.dial().Call(t.Context(), "people.list", canon.Object()); err != nil || o.Code != outcome.OK {
		t.Errorf("%v, %v", o, err)
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	data := folder(t, 0)
	if _, err := socket.Dial(t.Context(), data, dial); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("a folder that was never served: %v", err)
	}
	file := filepath.Join(data, "operator.key")
	for _, text := range []string{strings.Repeat("ab", 32), strings.Repeat("cd", 32)} {
		if err := socket.WriteKey(data, secret.New(text)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
		if b, err := os.ReadFile(file); err != nil || string(b) != text+"\n" {
			t.Errorf("the file holds %d bytes, %v", len(b), err)
		}
	}
	if left, err := os.ReadDir(data); err != nil || len(left) != 1 {
		t.Errorf("%v was left behind, %v", left, err)
	}
	if err := os.WriteFile(file, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.Dial(t.Context(), data, dial); err == nil || errors.Is(err, outcome.Unavailable) || strings.Contains(err.Error(), "short") {
		t.Errorf("a damaged key: %v", err)
	}
	if err := socket.WriteKey(filepath.Join(data, "none"), secret.New("x")); err == nil {
		t.Error("a key was written where no folder is")
	}
}

// A server of another version is told from one that is not ours.
func TestDialAsksForTheVersion(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, greeting string
		version        bool
	}{
		{"version 2", `{"gatehouse":"socket","version":2,"nonces":["a"]}`, true},
		{"no version", `{"gatehouse":"socket"}`, true},
		{"another program", `{"gatehouse":"pond","version":1,"nonce":""}`, false},
		{"no JSON", `220 mail.example.org`, false},
		{"nothing", ``, false},
	} {
		data := folder(t, 0)
		if err := socket.WriteKey(data, secret.New(strings.Repeat("00", 32))); err != nil {
			t.Fatal(err)
		}
		pipe := func(context.Context, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				_, _ = theirs.Write([]byte(tt.greeting + "\n"))
				_ = theirs.Close()
			}()
			return ours, nil
		}
		_, err := socket.Dial(t.Context(), data, pipe)
		if err == nil || errors.Is(err, socket.ErrVersion) != tt.version {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	var hinting interface{ Hint() string }
	if !errors.As(socket.ErrVersion, &hinting) || hinting.Hint() == "" {
		t.Error("there is no hint what to do about another version")
	}
}

func TestMoreConnectionsThanPlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, folder(t, 0))
	var open []*raw
	for range 32 {
		open = append(open, w.proved())
	}
	r := w.greeted()
	r.say(`{"version":1,"mac":"` + w.mac(r.hello.Nonce) + `"}` + "\n")
	if got, end := r.take(), r.take(); !strings.Contains(got, "32 connections already") || end != "EOF" {
		t.Errorf("one more than there are places is told %s, %s", got, end)
	}
	for _, r := range open[:4] {
		_ = r.Close()
	}
	eventually(t, "a place is free again", func() bool {
		c, err := socket.Dial(t.Context(), w.data, dial)
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	})
}

// Whoever connects and says nothing is sent away.
func TestAClientThatSaysNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, folder(t, 0))
	r := w.greeted()
	began := time.Now()
	if got := r.take(); got != "EOF" {
		t.Errorf("the server says %s", got)
	}
	if took := time.Since(began); took < time.Second || took > 10*time.Second {
		t.Errorf("it was sent away after %s, want about 2 s", took)
	}
}

// TestStrangersKeepNobodyOut: connections that prove nothing have places of their own, the oldest makes room, and however
// many they are, the log of the process gets two lines.
func TestStrangersKeepNobodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, folder(t, 0))
	first := w.proved()
	began := time.Now()
	var strangers []*raw
	for range 40 {
		strangers = append(strangers, w.greeted())
	}
	for i, r := range strangers[:8] {
		if got := r.take(); got != "EOF" {
			t.Errorf("stranger %d of 40 is told %s", i, got)
		}
	}
	c := w.dial()
	if o, err := c.Call(t.Context(), "people.list", canon.Object()); err != nil || o.Code != outcome.OK {
		t.Errorf("the operator calls: %v, %v", o, err)
	}
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Logf("the machine is slow: it took %s, so strangers may have left by themselves", took)
	}
	first.say(`{"id":1,"tool":"people.list"}` + "\n")
	if got := first.take(); !strings.Contains(got, `"code":"ok"`) {
		t.Errorf("a connection that was proven before: %s", got)
	}
	last := strangers[len(strangers)-1]
	if got := last.take(); got != "EOF" {
		t.Errorf("the last stranger is told %s", got)
	}
	w.close()
	if got := strings.Count(w.log.String(), "level=WARN"); got < 1 || got > 2 {
		t.Errorf("%d warnings for 40 strangers:\n%s", got, w.log.String())
	}
}

func TestNuisanceIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		n := socket.NewNuisance(slog.New(slog.NewTextHandler(log, nil)))
		said := func() string { return log.String() }
		for range 1000 {
			n.Add(errors.New("some"))
		}
		if got := strings.Count(said(), "\n"); got != 1 {
			t.Errorf("at once: %s", said())
		}
		time.Sleep(time.Minute + time.Second)
		if got := said(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "connections=999") {
			t.Errorf("after a minute: %s", got)
		}
		n.Add(errors.New("one more"))
		if got := strings.Count(said(), "\n"); got != 2 {
			t.Errorf("within the next minute: %s", said())
		}
		time.Sleep(time.Minute)
		if got := said(); !strings.Contains(got, "connections=1 last_error=\"one more\"") {
			t.Errorf("after the next minute: %s", got)
		}
		time.Sleep(time.Hour)
		n.Add(errors.New("late"))
		n.Add(errors.New("last"))
		if got := said(); strings.Count(got, "\n") != 4 || !strings.Contains(got, "error=late") {
			t.Errorf("after an hour: %s", got)
		}
		n.Close()
		n.Add(errors.New("too late"))
		if got := said(); strings.Count(got, "\n") != 5 || !strings.Contains(got, "last_error=last") {
			t.Errorf("after the end: %s", got)
		}
	})
}

func TestEveryCodeTravels(t *testing.T) {
	t.Parallel()
	for _, code := range outcome.All() {
		name, id := socket.Translate(gate.Outcome{Code: code, ID: gate.RowID{ID: 1763871234567, Seq: 2}})
		if back, ok := outcome.Parse(name); !ok || back != code || id != "1763871234567-2" {
			t.Errorf("%s travels as %q %q", code, name, id)
		}
	}
}

func FuzzLines(f *testing.F) {
	for _, s := range []string{
		`{"id":1,"tool":"people.list","arguments":{}}` + "\n", `{"id":1,"tool":"a"}`, "\n", "{}\n{}\n", "{\"id\":9007199254740993}\n",
		`{"id":1e2,"tool":"\ud800"}` + "\n", strings.Repeat("[", 100) + "\n", strings.Repeat("x", socket.MaxGreeting+1),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		id, tool, arguments, err := socket.Take(stream)
		if err != nil {
			return
		}
		line, _, found := strings.Cut(string(stream), "\n")
		if !found || len(line) > socket.MaxGreeting {
			t.Fatalf("%q was taken for a line", stream)
		}
		v, err := canon.ParseObject([]byte(line))
		if err != nil {
			t.Fatalf("%q was taken for an object: %v", line, err)
		}
		if name, _ := v.Member("tool"); name.String() != "" {
			if text, _ := name.Text(); text != tool {
				t.Fatalf("%q: tool %q", line, tool)
			}
		}
		if a, _ := v.Member("arguments"); a.String() != arguments {
			t.Fatalf("%q: arguments %s", line, arguments)
		}
		if n, ok := v.Member("id"); ok && n.String() != "" && n.String() != args(t, id).String() {
			t.Fatalf("%q: id %d", line, id)
		}
	})
}
