package database_test

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	_ "github.com/go-sql-driver/mysql"

	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// missing skips, or fails where parts are required.
func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_REQUIRE_PARTS") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// mysqlShop is a database of a throwaway MariaDB with a shop in it, its DSNs and a look at it past the gate.
type mysqlShop struct {
	server               *mariadbServer
	name                 string
	reader, writer, root string
	admin                *sql.DB
}

const mysqlSchema = `
CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL, email VARCHAR(100) UNIQUE, born DATE);
CREATE TABLE orders (id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT, customer INT NOT NULL, total DECIMAL(30,2), note TEXT DEFAULT 'none', big BIGINT, raw VARBINARY(20), at DATETIME(6), flags BIT(4), KEY by_customer (customer, total), FOREIGN KEY (customer) REFERENCES customers (id));
CREATE VIEW spent AS SELECT customer, SUM(total) AS total FROM orders GROUP BY customer;
CREATE TABLE secret (word TEXT);
CREATE TABLE seen (what TEXT);
CREATE TABLE old (what TEXT) ENGINE=MyISAM;
CREATE FUNCTION evil() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO seen VALUES ('evil'); RETURN 1; END;
CREATE PROCEDURE wicked() INSERT INTO seen VALUES ('wicked');
INSERT INTO customers (name, email, born) VALUES ('Ann O''Brien', 'ann@example.org', '2001-02-03'), ('Bob', NULL, NULL);
INSERT INTO orders (customer, total, note, big, raw, at, flags) VALUES (1, 12345678901234567890123456.78, 'first', 9223372036854775807, x'00ff', '2026-01-02 03:04:05.678901', b'1010'), (1, 7, 'second; DELETE', -9223372036854775808, NULL, NULL, NULL), (2, 0.1, 'it''s \\ "x"', 9007199254740993, '', NULL, 0);
INSERT INTO secret VALUES ('hunter2');
`

var mysqlShops atomic.Int64

func openMySQLShop(t testing.TB, server *mariadbServer) *mysqlShop {
	t.Helper()
	s := &mysqlShop{server: server, name: fmt.Sprintf("t%d", mysqlShops.Add(1))}
	dsn := func(user, password string) string {
		if password != "" {
			user += ":" + password
		}
		return fmt.Sprintf("%s@unix(%s)/%s", user, server.socket(), s.name)
	}
	s.reader, s.writer, s.root = dsn("r"+s.name, ""), dsn("w"+s.name, ""), dsn("root", "")
	first, err := sql.Open("mysql", strings.Replace(s.root, "/"+s.name, "/", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := first.Exec("CREATE DATABASE " + s.name); err != nil {
		t.Fatal(err)
	}
	if s.admin, err = sql.Open("mysql", s.root); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.admin.Close() })
	for _, text := range strings.Split(strings.TrimSpace(mysqlSchema), ";\n") {
		s.do(t, text)
	}
	for _, text := range []string{
		"CREATE USER r$", "CREATE USER w$", "CREATE USER plain$ IDENTIFIED BY 'pass-word-7'",
		"GRANT SELECT ON $.customers TO r$", "GRANT SELECT ON $.orders TO r$", "GRANT SELECT ON $.spent TO r$", "GRANT EXECUTE ON $.* TO r$",
		"GRANT SELECT ON $.customers TO plain$",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON $.customers TO w$", "GRANT SELECT, INSERT, UPDATE, DELETE ON $.orders TO w$", "GRANT SELECT, INSERT ON $.seen TO w$", "GRANT SELECT, INSERT ON $.old TO w$",
	} {
		s.do(t, strings.ReplaceAll(text, "$", s.name))
	}
	return s
}

func (s *mysqlShop) do(t testing.TB, text string) {
	t.Helper()
	if _, err := s.admin.Exec(text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func (s *mysqlShop) look(t testing.TB, query string) string {
	t.Helper()
	var value string
	if err := s.admin.QueryRow(query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func (s *mysqlShop) house(t testing.TB) (*gatetest.House, gatetest.Person) {
	t.Helper()
	h := gatetest.Start(t, gatetest.Config{YAML: fmt.Sprintf(`
modules:
  database:
    connections:
      reader: {driver: mysql, dsn: %q}
      writer: {driver: mysql, dsn: %q, writable: true}
      super: {driver: mysql, dsn: %q, writable: true}
`, s.reader, s.writer, s.root)})
	return h, h.Person("ann", "database.query", "database.execute", "database.tables", "database.describe")
}

func TestMySQLQueries(t *testing.T) {
	t.Parallel()
	s := openMySQLShop(t, mariadb(t))
	_, ann := s.house(t)
	for _, tt := range []struct{ sql, params, want string }{
		{"SELECT 1 AS one", "", `{"columns":[{"name":"one","type":"int"}],"rows":[[1]]}`},
		{"SELECT count(*) FROM orders;", "", `[[3]]`},
		{"/* a comment */ # one more\n-- and another\n SELECT name FROM customers WHERE id = ?", "1", `[["Ann O'Brien"]]`},
		{"SELECT id FROM orders WHERE note = 'second; DELETE' -- DELETE", "", `[[2]]`},
		{"SELECT 'it''s', 'a\\'b; --', \"q\", `name` FROM customers WHERE id = 2", "", `[["it's","a'b; --","q","Bob"]]`},
		{"SELECT big FROM orders ORDER BY id", "", `[[9223372036854775807],[-9223372036854775808],[9007199254740993]]`},
		{"SELECT total FROM orders ORDER BY id", "", `[[1.234567890123456789012345678e+25],[7],[0.1]]`},
		{"SELECT CAST(18446744073709551615 AS UNSIGNED), 0.1e0, CAST(0.1 AS FLOAT), 1e300", "", `[[18446744073709551615,0.1,0.1,1e+300]]`},
		{"SELECT raw, flags FROM orders ORDER BY id", "", `[[{"base64":"AP8="},10],[null,null],[{"base64":""},0]]`},
		{"SELECT at, note FROM orders WHERE id IN (1, 3)", "", `[["2026-01-02 03:04:05.678901","first"],[null,"it's \\ \"x\""]]`},
		{"SELECT born FROM customers ORDER BY id", "", `[["2001-02-03"],[null]]`},
		{"SELECT ? + ?, ?, HEX(?), ?, ?", `1,2,"x",{"base64":"AP8="},true,18446744073709551615`, `[[3,"x","00FF",1,18446744073709551615]]`},
		{"SELECT id FROM customers WHERE name = ? OR email = ? LIMIT ?", `"Bob",null,5`, `[[2]]`},
		{"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n LIMIT 2", "", `[[1],[2]]`},
		{"(SELECT 1) UNION (SELECT 2) ORDER BY 1", "", `[[1],[2]]`},
		{"VALUES (1, 'a'), (2, 'b')", "", `[[1,"a"],[2,"b"]]`},
		{"EXPLAIN SELECT * FROM orders WHERE customer = ?", "1", `select_type`},
		{"SHOW TABLES", "", `"orders"`},
		{"SHOW FULL COLUMNS FROM orders", "", `"decimal(30,2)"`},
		{"SHOW CREATE TABLE customers", "", `CREATE TABLE`},
		{"DESCRIBE orders", "", `"raw"`},
		{"SELECT 1 FROM dual WHERE false", "", `"rows":[]`},
		{"SELECT 'żółć', CHAR(0x61 USING utf8mb4)", "", `[["żółć","a"]]`},
	} {
		got := ann.Call("database.query", fmt.Sprintf(`{"connection":"reader","sql":%q,"params":[%s]}`, tt.sql, tt.params))
		if got.Code != outcome.OK || !strings.Contains(got.Result.String(), tt.want) {
			t.Errorf("%s: %s (%s) %s, want %s", tt.sql, got.Code, got.Reason, got.Result, tt.want)
		}
	}
}

// What agents may try on MariaDB: each is refused, and nothing of it is left. $F is a file in a folder that the server may write.
var hostileToMySQL = []string{
	"INSERT INTO seen VALUES ('x')", "INSERT INTO old VALUES ('x')", "REPLACE INTO seen VALUES ('x')", "UPDATE orders SET total = 0", "DELETE FROM orders", "TRUNCATE orders",
	"SELECT evil()", "CALL wicked()", "SELECT * FROM (SELECT evil()) AS x", "EXPLAIN INSERT INTO seen VALUES ('x')", "ANALYZE SELECT evil()", "ANALYZE FORMAT=JSON SELECT evil()", "EXPLAIN ANALYZE SELECT evil()",
	"WITH x AS (SELECT 1) DELETE FROM orders", "WITH x AS (SELECT evil() AS e) SELECT * FROM x", "VALUES (evil())",
	"SET SESSION TRANSACTION READ WRITE", "SET STATEMENT max_statement_time=0 FOR SELECT SLEEP(1)", "SET @a = 1", "SET GLOBAL general_log = 1", "SET ROLE admin", "SET PASSWORD = PASSWORD('x')",
	"COMMIT", "ROLLBACK", "BEGIN", "START TRANSACTION", "START TRANSACTION READ WRITE", "SAVEPOINT a", "XA START 'x'", "BEGIN NOT ATOMIC INSERT INTO seen VALUES ('x'); END",
	"SELECT 1; INSERT INTO seen VALUES ('x')", "SELECT 1; COMMIT; INSERT INTO seen VALUES ('x')", "; INSERT INTO seen VALUES ('x')", "SELECT 1;; SELECT 2", "COMMIT; SELECT 1",
	"CREATE TABLE t (a INT)", "CREATE TEMPORARY TABLE t (a INT)", "CREATE TABLE t AS SELECT 1", "CREATE OR REPLACE VIEW spent AS SELECT 1", "ALTER TABLE orders ADD x INT", "DROP TABLE orders", "RENAME TABLE orders TO o",
	"CREATE USER x", "GRANT ALL ON *.* TO x", "CREATE FUNCTION f RETURNS INT SONAME 'f.so'", "INSTALL PLUGIN x SONAME 'x.so'", "INSTALL SONAME 'x'",
	"SELECT * FROM orders INTO OUTFILE '$F'", "SELECT 'x' INTO DUMPFILE '$F'", "SELECT 1.INTO OUTFILE '$F'", "SELECT 1 INTO @a", "SELECT 1 INTO/**/OUTFILE '$F'", "TABLE orders INTO OUTFILE '$F'", "VALUES (1) INTO OUTFILE '$F'",
	"SELECT 1 /*!INTO OUTFILE '$F'*/", "SELECT 1 /*!50000 INTO OUTFILE '$F' */", "SELECT 1 /*M!100000 INTO OUTFILE '$F' */", "/*!INSERT INTO seen VALUES ('x')*/", "/*! COMMIT */ SELECT 1", "SELECT /*+ SET_VAR(sql_mode='') */ 1",
	"LOAD DATA INFILE '/etc/passwd' INTO TABLE seen", "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE seen", "LOAD XML INFILE '/etc/passwd' INTO TABLE seen",
	"LOCK TABLES orders WRITE", "LOCK TABLES orders READ", "UNLOCK TABLES", "FLUSH TABLES", "FLUSH TABLES WITH READ LOCK", "HANDLER orders OPEN", "HANDLER orders READ FIRST", "KILL 1", "KILL QUERY 1", "SHUTDOWN", "PURGE BINARY LOGS TO 'x'",
	"PREPARE p FROM 'INSERT INTO seen VALUES (1)'", "EXECUTE p", "EXECUTE IMMEDIATE 'INSERT INTO seen VALUES (1)'", "DEALLOCATE PREPARE p", "DO evil()", "USE mysql", "RESET MASTER", "CHANGE MASTER TO MASTER_HOST='x'", "BACKUP STAGE START", "OPTIMIZE TABLE orders", "REPAIR TABLE old", "CHECK TABLE orders", "ANALYZE TABLE orders", "CACHE INDEX old IN x", "HELP 'x'", "BINLOG 'x'", "SIGNAL SQLSTATE '45000'", "GET DIAGNOSTICS @a = NUMBER",
	"SHOW GRANTS", "SHOW GRANTS FOR CURRENT_USER", "SHOW CREATE USER", "SHOW CREATE FUNCTION evil", "SHOW PROCESSLIST", "SHOW FULL PROCESSLIST", "SHOW EXPLAIN FOR 1", "SHOW VARIABLES", "SHOW GLOBAL STATUS", "SHOW BINARY LOGS", "SHOW ENGINE INNODB STATUS", "EXPLAIN FOR CONNECTION 1", "DESCRIBE FOR CONNECTION 1",
	"SELECT * FROM secret", "SELECT * FROM mysql.user", "SELECT * FROM mysql.global_priv", "SELECT x.word FROM secret AS x", "TABLE secret", "EXPLAIN SELECT * FROM secret",
	"SELECT 1 WHERE", "SELEC 1", "", ";", "-- nothing", "# nothing", "/* open", "SELECT 'open", "SELECT `open", "SELECT ?", "SELECT 'a\\' INTO OUTFILE '$F' -- '", "SELECT $1", "SELECT 1 --;\nINTO OUTFILE '$F'",
	"((SELECT 1) INTO OUTFILE '$F')", "SELECT 1 FROM dual PROCEDURE evil()", "SELECT NEXTVAL(x)", "SELECT 1 LIMIT ROWS EXAMINED 1 INTO @x", "\\! touch $F", "DELIMITER //",
}

func TestMySQLRefusesWhatIsNotReading(t *testing.T) {
	t.Parallel()
	s := openMySQLShop(t, mariadb(t))
	_, ann := s.house(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	state := func() string {
		return s.look(t, "SELECT CONCAT_WS(',', (SELECT COUNT(*) FROM seen), (SELECT COUNT(*) FROM old), (SELECT COUNT(*) FROM orders), (SELECT SUM(total) FROM orders), (SELECT COUNT(*) FROM mysql.global_priv WHERE User LIKE '%"+s.name+"'), "+
			"(SELECT GROUP_CONCAT(TABLE_NAME, TABLE_TYPE ORDER BY 1) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()), (SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()))")
	}
	before := state()
	for _, sql := range hostileToMySQL {
		sql = strings.ReplaceAll(sql, "$F", dir+"/stolen")
		for _, connection := range []string{"reader", "super"} {
			if connection == "super" && !strings.Contains(sql, "INTO") && !strings.Contains(sql, "mysql.") && !strings.Contains(sql, "secret") {
				continue
			}
			got := ann.Call("database.query", fmt.Sprintf(`{"connection":%q,"sql":%q}`, connection, sql))
			if got.Code != outcome.Blocked && got.Code != outcome.Invalid || strings.Contains(got.Result.String(), "hunter2") || strings.Contains(got.Result.String(), "'localhost'") {
				t.Errorf("%s: %s: %s (%s) %s", connection, sql, got.Code, got.Reason, got.Result)
			}
			if strings.Contains(got.Reason, "'@'") || strings.Contains(got.Reason, "r"+s.name) {
				t.Errorf("%s: %s: the reason names the login: %s", connection, sql, got.Reason)
			}
		}
		if now := state(); now != before {
			t.Fatalf("%s left something behind: %s, before %s", sql, now, before)
		}
	}
	got := ann.Call("database.query", `{"connection":"super","sql":"SELECT LOAD_FILE('/etc/passwd')"}`)
	if got.Code != outcome.Blocked || !strings.Contains(got.Reason, "whole server") {
		t.Errorf("as root: %s (%s)", got.Code, got.Reason)
	}
	for _, sql := range []string{"SELECT LOAD_FILE('/etc/passwd')", "SELECT GET_LOCK('x', 1)", "SELECT @a := 1", "SELECT * FROM orders FOR UPDATE", "SELECT LAST_INSERT_ID(7)", "SELECT @@sql_mode, @@tx_read_only", "SELECT RELEASE_ALL_LOCKS()"} {
		if got := ann.Call("database.query", fmt.Sprintf(`{"connection":"reader","sql":%q}`, sql)); got.Code != outcome.OK && got.Code != outcome.Blocked || strings.Contains(got.Result.String(), "root:") {
			t.Errorf("%s: %s (%s) %s", sql, got.Code, got.Reason, got.Result)
		}
	}
	if got := ann.MustCall("database.query", `{"connection":"reader","sql":"SELECT @a, IS_FREE_LOCK('x')"}`); !strings.Contains(got.String(), `[[null,1]]`) {
		t.Errorf("something was left behind: %s", got)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 || state() != before {
		t.Errorf("files were written: %v %v", files, err)
	}
}

// Logins that may do more than change tables are not served, however they came by it.
func TestMySQLLogins(t *testing.T) {
	t.Parallel()
	s := openMySQLShop(t, mariadb(t))
	for _, tt := range []struct {
		grants string
		good   bool
	}{
		{"GRANT SELECT ON $.* TO u$", true},
		{"GRANT SELECT, INSERT, UPDATE, DELETE ON $.* TO u$", true},
		{"GRANT SHOW DATABASES ON *.* TO u$; GRANT SELECT ON $.* TO u$", true},
		{"GRANT FILE ON *.* TO u$", false},
		{"GRANT SUPER ON *.* TO u$", false},
		{"GRANT PROCESS ON *.* TO u$", false},
		{"GRANT SELECT ON *.* TO u$", false},
		{"GRANT ALL ON *.* TO u$ WITH GRANT OPTION", false},
		{"GRANT SELECT ON mysql.* TO u$", false},
		{"GRANT SELECT ON mysql.global_priv TO u$", false},
		{"GRANT SELECT ON `%`.* TO u$", false},
		{"GRANT SELECT ON `my%`.* TO u$", false},
		{"CREATE ROLE role$; GRANT FILE ON *.* TO role$; GRANT role$ TO u$; SET DEFAULT ROLE role$ FOR u$", false},
	} {
		s.do(t, "CREATE OR REPLACE USER u"+s.name)
		s.do(t, "DROP ROLE IF EXISTS role"+s.name)
		for _, text := range strings.Split("GRANT SELECT ON $.* TO u$; "+tt.grants, "; ") {
			s.do(t, strings.ReplaceAll(text, "$", s.name))
		}
		h := gatetest.Start(t, gatetest.Config{YAML: fmt.Sprintf("modules: {database: {connections: {db: {driver: mysql, dsn: %q}}}}\n", strings.Replace(s.reader, "r"+s.name, "u"+s.name, 1))})
		got := h.Person("ann", "database.query").Call("database.query", `{"connection":"db","sql":"SELECT 1"}`)
		if tt.good && got.Code != outcome.OK || !tt.good && got.Code != outcome.Blocked {
			t.Errorf("%s: %s (%s)", tt.grants, got.Code, got.Reason)
		}
		h.Close()
	}
}
