package database_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gatehouse/gatetest"
	"gatehouse/module"
	"gatehouse/module/database"
	"gatehouse/outcome"
	"gatehouse/secret"

	"gatehouse/egress"
)

// server is a shop on one kind of server, for what all kinds must do alike.
type server struct {
	driver, reader, writer string
	param                  string // how the first parameter is written
	sleep                  string // a statement that takes ten seconds
	endless                string // a statement that takes minutes, and whose server does not notice that the client hung up
	running                string // how many of those run
	big                    string // gives one value of so many bytes
	many                   string // gives 5,000 rows with a text of so many bytes
	look                   func(t testing.TB, query string) string
	do                     func(t testing.TB, script string)
	house                  func(t testing.TB) (*gatetest.House, gatetest.Person)
}

func servers(t *testing.T, test func(t *testing.T, s server)) {
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		p := openPostgresShop(t)
		test(t, server{
			"postgres", p.reader, p.writer, "$1", "SELECT pg_sleep(10)", "SELECT pg_sleep(100)", "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'FETCH%' AND state = 'active' AND datname = current_database()",
			"SELECT repeat('x', %d)", "SELECT repeat('x', %d) FROM generate_series(1, 5000)", p.look, p.do, p.house,
		})
	})
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		m := openMySQLShop(t, mariadb(t))
		test(t, server{
			"mysql", m.reader, m.writer, "?", "SELECT SLEEP(10)",
			"SELECT COUNT(*) FROM information_schema.COLLATIONS AS a, information_schema.COLLATIONS AS b, information_schema.COLLATIONS AS c, information_schema.COLLATIONS AS d",
			"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT COUNT(*) FROM%AS d' AND DB = DATABASE()",
			"SELECT REPEAT('x', %d)", "SELECT REPEAT('x', %d) FROM information_schema.COLLATIONS AS a, information_schema.COLLATIONS AS b LIMIT 5000", m.look, m.do, m.house,
		})
	})
}

func query(connection, sql, params, more string) string {
	return fmt.Sprintf(`{"connection":%q,"sql":%q,"params":[%s]%s}`, connection, sql, params, more)
}

// What comes back is bounded, and the result says where it was cut.
func TestServersAreBounded(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, s server) {
		_, ann := s.house(t)
		for _, tt := range []struct {
			sql, more string
			rows      int
			note      string
		}{
			{fmt.Sprintf(s.many, 1), ``, 100, "more than 100 rows"},
			{fmt.Sprintf(s.many, 1), `,"max_rows":1000`, 1000, "more than 1000 rows"},
			{fmt.Sprintf(s.many, 30000), `,"max_rows":1000`, 34, "1 MiB"},
			{fmt.Sprintf(s.big, 100_000), ``, 1, "cut to 64 KiB: 1"},
			{fmt.Sprintf(s.big, 1), ``, 1, ""},
		} {
			got := ann.Call("database.query", query("reader", tt.sql, "", tt.more))
			rows := strings.Count(got.Result.String(), `["x`)
			if got.Code != outcome.OK || rows != tt.rows || !strings.Contains(got.Result.String(), tt.note) || strings.Contains(got.Result.String(), `"note"`) != (tt.note != "") {
				t.Errorf("%s: %s (%s) %d rows, want %d with %q", tt.sql, got.Code, got.Reason, rows, tt.rows, tt.note)
			}
		}
		for _, size := range []int{5 << 20, 15 << 20} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := ann.Call("database.query", query("reader", fmt.Sprintf(s.big, size), "", ""))
			runtime.ReadMemStats(&after)
			if got.Code != outcome.Invalid || !strings.Contains(got.Reason, "larger than") {
				t.Errorf("a value of %d bytes: %s (%s)", size, got.Code, got.Reason)
			}
			// Other tests run at the same time; without the bound one value is here several times.
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
				t.Errorf("a value of %d bytes: the heap grew by %d", size, grown)
			}
		}
	})
}

// A deadline ends the statement on the server, not only here.
func TestDeadlineCancelsOnTheServer(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, s server) {
		proxy := startProxy(t, s.reader)
		for name, dsn := range map[string]string{"socket": s.reader, "address": proxy.dsn("127.0.0.1"), "name": proxy.dsn("localhost")} {
			m := openServer(t, "db", database.Connection{Driver: s.driver, DSN: dsn, Private: true}) // "name" redials an address
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			began := time.Now()
			done := make(chan error, 1)
			go func() {
				_, err := m.Query(ctx, database.Args("db", s.endless))
				done <- err
			}()
			if !eventually(func() bool { return s.look(t, s.running) == "1" }) {
				t.Errorf("%s: the statement does not run", name)
			}
			<-ctx.Done()
			over := time.Now()
			err := <-done
			cancel()
			if outcome.Of(err) != outcome.Timeout || time.Since(began) > 5*time.Second {
				t.Errorf("%s: %v after %s, want timeout", name, err, time.Since(began))
			}
			gone := eventually(func() bool { return s.look(t, s.running) == "0" })
			if took := time.Since(over); !gone || took > 2*time.Second {
				t.Errorf("%s: the statement still runs on the server %s after the deadline", name, took)
			}
		}
	})
}

func eventually(ok func() bool) bool {
	for range 100 {
		if ok() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func TestServersExecute(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, s server) {
		_, ann := s.house(t)
		for _, tt := range []struct {
			sql, params string
			affected    int
			look, want  string
		}{
			{"INSERT INTO customers (name, email) VALUES (" + s.param + ", 'x; --')", `"O'Neil \" \\ 100%"`, 1, "SELECT name FROM customers WHERE email = 'x; --'", `O'Neil " \ 100%`},
			{"UPDATE orders SET total = total * 2 WHERE customer = 2", "", 1, "SELECT total FROM orders WHERE customer = 2", "0.20"},
			{"UPDATE orders SET total = 1 WHERE id = 99", "", 0, "SELECT COUNT(*) FROM orders", "3"},
			{"-- why\nDELETE FROM orders WHERE id IN (1, 2);", "", 2, "SELECT COUNT(*) FROM orders", "1"},
			{"INSERT INTO seen SELECT name FROM customers", "", 3, "SELECT COUNT(*) FROM seen", "3"},
		} {
			got := ann.Call("database.execute", query("writer", tt.sql, tt.params, ""))
			if got.Code != outcome.OK || got.Result.String() != fmt.Sprintf(`{"affected":%d}`, tt.affected) {
				t.Errorf("%s: %s (%s) %s, want %d", tt.sql, got.Code, got.Reason, got.Result, tt.affected)
			}
			if seen := s.look(t, tt.look); seen != tt.want {
				t.Errorf("%s: after it %s gives %s, want %s", tt.sql, tt.look, seen, tt.want)
			}
		}
		state := func() string {
			return s.look(t, "SELECT COUNT(*) FROM customers") + s.look(t, "SELECT COUNT(*) FROM orders") + s.look(t, "SELECT COUNT(*) FROM seen") + s.look(t, "SELECT COUNT(*) FROM information_schema.tables WHERE table_name IN ('t', 'o', 'orders', 'seen')")
		}
		before := state()
		for _, sql := range []string{
			"SELECT 1", "EXPLAIN DELETE FROM orders", "CREATE TABLE t (a INT)", "DROP TABLE orders", "TRUNCATE orders", "ALTER TABLE orders RENAME TO o", "COMMIT", "ROLLBACK", "BEGIN",
			"DELETE FROM orders; COMMIT", "DELETE FROM orders; DELETE FROM seen", "COMMIT; DELETE FROM orders", "GRANT ALL ON orders TO public", "SET ROLE admin", "DO 1", "CALL wicked()",
			"INSERT INTO secret VALUES ('x')", "DELETE FROM secret", "INSERT INTO customers (name, email) VALUES ('x', 'y'), ('z', 'y')", "INSERT INTO orders (customer) VALUES (99)", "INSERT INTO customers (name) VALUES (NULL)",
			"COPY orders FROM PROGRAM 'id'", "LOAD DATA INFILE '/etc/passwd' INTO TABLE seen", "WITH x AS (SELECT 1) SELECT * FROM x", "", "DELETE FROM orders WHERE id = " + s.param,
		} {
			got := ann.Call("database.execute", query("writer", sql, "", ""))
			if got.Code != outcome.Blocked && got.Code != outcome.Invalid {
				t.Errorf("%s: %s (%s), want blocked or invalid", sql, got.Code, got.Reason)
			}
			if now := state(); now != before {
				t.Fatalf("%s changed something: %s, before %s", sql, now, before)
			}
		}
		for _, connection := range []string{"reader", "super"} {
			if got := ann.Call("database.execute", query(connection, "DELETE FROM orders", "", "")); got.Code != outcome.Blocked {
				t.Errorf("on %s: %s (%s)", connection, got.Code, got.Reason)
			}
		}
	})
}

func TestServersDescribe(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, s server) {
		_, ann := s.house(t)
		tables := ann.MustCall("database.tables", `{"connection":"reader"}`).String()
		if want := `{"tables":[{"kind":"table","name":"customers"},{"kind":"table","name":"orders"},`; !strings.HasPrefix(tables, want) || !strings.Contains(tables, `{"kind":"view","name":"spent"}`) || strings.Contains(tables, "secret") {
			t.Errorf("tables: %s", tables)
		}
		orders := ann.MustCall("database.describe", `{"connection":"reader","table":"orders"}`).String()
		for _, part := range []string{
			`"name":"id","primary_key":1,"required":true`, `"name":"customer","required":true`, `none`, `"foreign_keys":[{"column":"customer","references":"id","table":"customers"}]`, `"columns":["id"]`, `"name":"by_customer"`, `"unique":true`,
		} {
			if !strings.Contains(orders, part) {
				t.Errorf("describe lacks %s: %s", part, orders)
			}
		}
		for _, table := range []string{"secret", "nowhere", "", "orders; DROP TABLE orders", "orders'", "a.b.c.d", "mysql.user", `"`} {
			if got := ann.Call("database.describe", fmt.Sprintf(`{"connection":"reader","table":%q}`, table)); got.Code != outcome.NotFound {
				t.Errorf("describe %s: %s (%s) %s", table, got.Code, got.Reason, got.Result)
			}
		}
	})
}

// A server that is down, or goes down in the midst of a call, ends that call alone; the next one finds it when it is back.
func TestServersGoAndComeBack(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, s server) {
		proxy := startProxy(t, s.writer)
		proxy.down()
		m := openServer(t, "db", database.Connection{Driver: s.driver, DSN: proxy.dsn("127.0.0.1"), Writable: true})
		_, err := m.Query(t.Context(), database.Args("db", "SELECT 1"))
		wantUpstream(t, "down at the start", proxy, err, outcome.Upstream)
		proxy.up(t)
		if got, err := m.Query(t.Context(), database.Args("db", "SELECT 1")); err != nil || rows(got) != "[[1]]" {
			t.Errorf("once it is up: %v %v", got, err)
		}
		time.AfterFunc(300*time.Millisecond, proxy.down)
		_, err = m.Query(t.Context(), database.Args("db", s.sleep))
		wantUpstream(t, "down in the midst of a query", proxy, err, outcome.Upstream)
		proxy.up(t)
		time.AfterFunc(300*time.Millisecond, proxy.down)
		_, err = m.Execute(t.Context(), database.Args("db", "INSERT INTO seen "+s.sleep))
		wantUpstream(t, "down in the midst of a change", proxy, err, outcome.Upstream, outcome.Unknown)
		proxy.up(t)
		if got, err := m.Execute(t.Context(), database.Args("db", "INSERT INTO seen VALUES ('back')")); err != nil || got.Affected != 1 {
			t.Errorf("once it is back: %v %v", got, err)
		}
	})
}

// The COMMIT's answer gets lost: nobody knows, and the outcome says so.
func TestLostCommitIsUnknown(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, s server) {
		proxy := startProxy(t, s.writer)
		m := openServer(t, "db", database.Connection{Driver: s.driver, DSN: proxy.dsn("127.0.0.1"), Writable: true})
		proxy.cutAfter([]byte("COMMIT"))
		_, err := m.Execute(t.Context(), database.Args("db", "INSERT INTO seen VALUES ('once')"))
		wantUpstream(t, "the answer to COMMIT is lost", proxy, err, outcome.Unknown)
		if !eventually(func() bool { return s.look(t, "SELECT COUNT(*) FROM seen WHERE what = 'once'") == "1" }) {
			t.Error("the change did not happen: the line was cut too early for this test")
		}
	})
}

// A real server that is killed in the midst of a call, and started again.
func TestMariaDBIsKilled(t *testing.T) {
	t.Parallel()
	server := ownMariaDB(t)
	s := openMySQLShop(t, server)
	m := openServer(t, "db", database.Connection{Driver: "mysql", DSN: s.writer, Writable: true})
	if _, err := m.Query(t.Context(), database.Args("db", "SELECT 1")); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := m.Execute(t.Context(), database.Args("db", "INSERT INTO seen SELECT SLEEP(10)"))
		done <- err
	}()
	if !eventually(func() bool {
		return s.look(t, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT INTO seen%' AND DB = DATABASE()") == "1"
	}) {
		t.Error("the statement does not run")
	}
	server.kill(t)
	if err := <-done; outcome.Of(err) != outcome.Unknown {
		t.Errorf("killed in the midst: %v, want unknown", err)
	}
	if _, err := m.Query(t.Context(), database.Args("db", "SELECT 1")); outcome.Of(err) != outcome.Upstream {
		t.Errorf("while it is down: %v, want upstream", err)
	}
	server.restart(t)
	if got, err := m.Query(t.Context(), database.Args("db", "SELECT COUNT(*) FROM seen")); err != nil || rows(got) != "[[0]]" {
		t.Errorf("after the restart: %v %v", got, err)
	}
}

// Connections of all drivers stand side by side.
func TestDriversSideBySide(t *testing.T) {
	t.Parallel()
	p, m := openPostgresShop(t), openMySQLShop(t, mariadb(t))
	h := gatetest.Start(t, gatetest.Config{YAML: fmt.Sprintf(`
modules:
  database:
    connections:
      lite: {driver: sqlite, dsn: shop.db}
      post: {driver: postgres, dsn: %q}
      my: {driver: mysql, dsn: %q}
`, p.reader, m.reader)})
	fill(t, filepath.Join(h.Dir, "shop.db"), schema)
	ann := h.Person("ann", "database.query")
	var group sync.WaitGroup
	for name, want := range map[string]string{"lite": "3", "post": "2", "my": "2"} {
		for range 6 {
			group.Go(func() {
				got := ann.Call("database.query", query(name, "SELECT COUNT(*) FROM customers", "", ""))
				if got.Code != outcome.OK || !strings.Contains(got.Result.String(), `"rows":[[`+want+`]]`) {
					t.Errorf("%s: %s (%s) %s", name, got.Code, got.Reason, got.Result)
				}
			})
		}
	}
	group.Wait()
}

// canary must never be seen.
const canary = "hunter2-Sw0rdfish"

// What a DSN says is in no error, neither in what callers see nor in what the log would show.
func TestDSNsAreNeverTold(t *testing.T) {
	t.Parallel()
	closed := startProxy(t, "host=/nowhere user=x dbname=x")
	closed.down()
	for _, tt := range []struct{ driver, dsn string }{
		{"postgres", "postgres://secretuser:" + canary + "@" + closed.address + "/secretdb?sslmode=disable"},
		{"postgres", "host=secrethost.invalid user=secretuser password=" + canary + " dbname=secretdb sslmode=disable"},
		{"postgres", "host=/secretfolder user=secretuser password=" + canary + " dbname=secretdb"},
		{"mysql", "secretuser:" + canary + "@tcp(" + closed.address + ")/secretdb"},
		{"mysql", "secretuser:" + canary + "@tcp(secrethost.invalid:3306)/secretdb"},
		{"mysql", "secretuser:" + canary + "@unix(/secretfolder/s)/secretdb"},
	} {
		from := secret.NewRef("environment variable X", func() (secret.Text, error) { return secret.New(tt.dsn), nil })
		m := openServer(t, "db", database.Connection{Driver: tt.driver, DSNEnv: from})
		_, err := m.Query(t.Context(), database.Args("db", "SELECT 1"))
		told(t, tt.driver+" query", err, closed.address)
		if code := outcome.Of(err); code != outcome.Upstream {
			t.Errorf("%s: %v", tt.driver, err)
		}
	}
	for _, tt := range []struct{ driver, dsn, want string }{
		{"postgres", "postgres://secretuser:" + canary + "@secrethost:x/secretdb", "cannot be read"},
		{"postgres", "postgres://secretuser:" + canary + "@secrethost/secretdb?passfile=/etc/x", "cannot be read"},
		{"postgres", "postgres://secretuser:" + canary + "@secrethost/secretdb?service=x", "cannot be read"},
		{"postgres", "postgres://secretuser:" + canary + "@secrethost/secretdb?sslmode=perhaps", "cannot be read"},
		{"postgres", "postgres://secretuser:" + canary + "@/secretdb", "must name host"},
		{"postgres", "host=secrethost password=" + canary, "must name host"},
		{"postgres", canary, "must name host"},
		{"postgres", "postgres://secretuser:" + canary + "@0x7f000001/secretdb", "must be a name"},
		{"mysql", canary, "cannot be read"},
		{"mysql", "secretuser:" + canary + "@secrethost", "cannot be read"},
		{"mysql", "secretuser:" + canary + "@tcp(secrethost:x)/secretdb", "cannot be read"},
		{"mysql", "secretuser:" + canary + "@pipe(secrethost)/secretdb", "cannot be read"},
		{"mysql", "secretuser:" + canary + "@tcp(secrethost:3306)/", "must name host"},
		{"mysql", "secretuser:" + canary + "@tcp(127.1:3306)/secretdb", "must be a name"},
		{"mysql", "secretuser:" + canary + "@/secretdb", "must name host"},
	} {
		from := secret.NewRef("environment variable X", func() (secret.Text, error) { return secret.New(tt.dsn), nil })
		_, err := database.New(t.Context(), serverKit(t), database.Config{Connections: map[string]database.Connection{"db": {Driver: tt.driver, DSNFrom: from}}})
		told(t, tt.driver, err, "secrethost")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v, want %q", tt.driver, tt.dsn, err, tt.want)
		}
	}
	for _, tt := range []struct {
		c    database.Connection
		want string
	}{
		{database.Connection{Driver: "postgres", DSN: "postgres://u:" + canary + "@127.0.0.1/d"}, "holds a password"},
		{database.Connection{Driver: "postgres", DSN: "host=127.0.0.1 user=u dbname=d PASSWORD = " + canary}, "holds a password"},
		{database.Connection{Driver: "postgres", DSN: "postgres://u@127.0.0.1/d?password=" + canary}, "holds a password"},
		{database.Connection{Driver: "mysql", DSN: "u:" + canary + "@tcp(127.0.0.1:3306)/d"}, "holds a password"},
		{database.Connection{Driver: "postgres"}, "dsn_env is missing"},
		{database.Connection{Driver: "mysql", DSN: "u@tcp(127.0.0.1:3306)/d", DSNEnv: secret.NewRef("x", nil), DSNFrom: secret.NewRef("x", func() (secret.Text, error) { return secret.Text{}, nil })}, "is given once"},
		{database.Connection{Driver: "sqlite", DSN: "x.db", Private: true}, "private is for servers"},
	} {
		_, err := database.New(t.Context(), serverKit(t), database.Config{Connections: map[string]database.Connection{"db": tt.c}})
		told(t, tt.want, err, "127.0.0.1")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

func told(t *testing.T, what string, err error, more ...string) {
	t.Helper()
	for ; err != nil; err = unwrap(err) {
		for _, word := range append(more, canary, "secretuser", "secrethost", "secretdb", "secretfolder") {
			if strings.Contains(err.Error(), word) {
				t.Errorf("%s: the error tells %s: %v", what, word, err)
			}
		}
	}
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

// A wrong password is the server's word about the login, which is not handed on; the right one works, and a changed secret is
// taken without a restart.
func TestPasswordsAreTakenAnew(t *testing.T) {
	t.Parallel()
	s := openMySQLShop(t, mariadb(t))
	var mu sync.Mutex
	password := canary
	from := secret.NewRef("file x", func() (secret.Text, error) {
		mu.Lock()
		defer mu.Unlock()
		return secret.New(fmt.Sprintf("plain%s:%s@unix(%s)/%s", s.name, password, s.server.socket(), s.name)), nil
	})
	m := openServer(t, "db", database.Connection{Driver: "mysql", DSNFrom: from})
	_, err := m.Query(t.Context(), database.Args("db", "SELECT 1"))
	told(t, "wrong password", err, "plain"+s.name)
	if outcome.Of(err) != outcome.Upstream {
		t.Errorf("wrong password: %v", err)
	}
	mu.Lock()
	password = "pass-word-7"
	mu.Unlock()
	if _, err := m.Query(t.Context(), database.Args("db", "SELECT 1")); err != nil {
		t.Errorf("right password: %v", err)
	}
}

// A name in a DSN must lead to public addresses unless private: true stands beside it (P11).
func TestNamesMustBePublic(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, s server) {
		proxy := startProxy(t, s.reader)
		for _, tt := range []struct {
			host    string
			private bool
			want    outcome.Code
		}{{"localhost", false, outcome.Blocked}, {"localhost", true, outcome.OK}, {"127.0.0.1", false, outcome.OK}} {
			m := openServer(t, "db", database.Connection{Driver: s.driver, DSN: proxy.dsn(tt.host), Private: tt.private})
			before := proxy.count()
			_, err := m.Query(t.Context(), database.Args("db", "SELECT 1"))
			if outcome.Of(err) != tt.want || (proxy.count() > before) != (tt.want == outcome.OK) {
				t.Errorf("%s private %v: %v after %d connections, want %s", tt.host, tt.private, err, proxy.count()-before, tt.want)
			}
		}
	})
}

func serverKit(t testing.TB) module.Kit {
	k := kit(t.TempDir())
	k.Egress = egress.New(egress.Config{})
	return k
}

func openServer(t testing.TB, name string, c database.Connection) *database.Module {
	t.Helper()
	m, err := database.New(t.Context(), serverKit(t), database.Config{Connections: map[string]database.Connection{name: c}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func wantUpstream(t *testing.T, what string, p *proxy, err error, codes ...outcome.Code) {
	t.Helper()
	ok := false
	for _, c := range codes {
		ok = ok || outcome.Of(err) == c
	}
	if !ok {
		t.Errorf("%s: %v, want %v", what, err, codes)
	}
	told(t, what, err, p.address)
}

// proxy is a TCP address in front of a server's socket, which can be cut.
type proxy struct {
	address, socket, to string
	mu                  sync.Mutex // guards what follows
	listener            net.Listener
	conns               []net.Conn
	seen                int
	marker              []byte
}

func startProxy(t testing.TB, dsn string) *proxy {
	t.Helper()
	p := &proxy{to: dsn}
	if at := strings.Index(dsn, "unix("); at >= 0 {
		p.socket = dsn[at+5 : strings.Index(dsn, ")")]
	} else {
		c, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		p.socket = filepath.Join(c.Host, ".s.PGSQL.5432")
	}
	p.up(t)
	t.Cleanup(p.down)
	return p
}

// dsn is the server's with another host.
func (p *proxy) dsn(host string) string {
	_, port, _ := net.SplitHostPort(p.address)
	if strings.Contains(p.to, "unix(") {
		return strings.Replace(p.to, "unix("+p.socket+")", "tcp("+host+":"+port+")", 1)
	}
	return strings.Replace(p.to, "host="+filepath.Dir(p.socket), "host="+host+" port="+port, 1)
}

func (p *proxy) up(t testing.TB) {
	t.Helper()
	address := p.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener, p.address = l, l.Addr().String()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", p.socket)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mu.Lock()
			p.seen++
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			go func() { _, _ = io.Copy(watched{out, p, in}, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
}

// watched cuts the client's side when the marker goes by, and sends it all the same.
type watched struct {
	net.Conn
	proxy  *proxy
	client net.Conn
}

func (w watched) Write(b []byte) (int, error) {
	w.proxy.mu.Lock()
	marker := w.proxy.marker
	w.proxy.mu.Unlock()
	if marker != nil && strings.Contains(string(b), string(marker)) {
		_ = w.client.Close()
	}
	return w.Conn.Write(b)
}

func (p *proxy) cutAfter(marker []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marker = marker
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

func (p *proxy) down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}
