//go:build unix

package database_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mariadbServer is a throwaway MariaDB on a socket. It ends with the process, in whatever way that ends.
type mariadbServer struct {
	dir        string
	credential *syscall.Credential
	life       *os.File // the server ends when this is closed, which the system does with the process
	cmd        *exec.Cmd
}

var sharedMariaDB = sync.OnceValues(startMariaDB)

var errNoMariaDB = errors.New("there is no MariaDB here (mariadbd is neither in PATH nor in /usr/sbin)")

// mariadb gives the one server of this process.
func mariadb(t testing.TB) *mariadbServer {
	t.Helper()
	s, err := sharedMariaDB()
	if errors.Is(err, errNoMariaDB) {
		missing(t, err.Error())
	} else if err != nil {
		t.Fatalf("starting MariaDB: %v", err)
	}
	return s
}

// mariadbInstall makes the system tables without the parts of mariadb-install-db that need more than the server's package.
const mariadbInstall = `
mkdir data && {
	echo 'CREATE DATABASE mysql;'; echo 'USE mysql;'; echo 'SET @auth_root_socket=NULL;'
	cat /usr/share/mysql/mysql_system_tables.sql /usr/share/mysql/mysql_performance_tables.sql /usr/share/mysql/mysql_system_tables_data.sql
} | "$2" --no-defaults --bootstrap --datadir="$1/data" --log-warnings=0 --enforce-storage-engine= --skip-log-bin --max_allowed_packet=8M \
	--innodb-buffer-pool-size=16M --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-log-file-size=8M --performance-schema=0`

// mariadbRun runs it until its standard input ends.
const mariadbRun = `
cd "$1" || exit 1
trap '' INT TERM HUP
"$2" --no-defaults --datadir="$1/data" --skip-networking --socket="$1/s" --pid-file="$1/pid" --skip-log-bin --max_allowed_packet=64M \
	--innodb-buffer-pool-size=16M --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --performance-schema=0 >>log 2>&1 </dev/null &
cat >/dev/null
kill -KILL $!
wait
[ -e "$1/keep" ] || { cd / && rm -rf "$1"; }
`

func startMariaDB() (*mariadbServer, error) {
	program, err := exec.LookPath("mariadbd")
	if err != nil {
		program = "/usr/sbin/mariadbd"
		if _, err := os.Stat(program); err != nil {
			return nil, errNoMariaDB
		}
	}
	s := &mariadbServer{}
	if s.dir, err = os.MkdirTemp("/tmp", "mariadb"); err != nil { // short: a socket's path has at most 107 bytes
		return nil, err
	}
	if os.Getuid() == 0 { // the server refuses to run as root
		if s.credential, err = asNobody(s.dir); err != nil {
			return nil, err
		}
	}
	install := s.script(mariadbInstall, program)
	install.Dir = s.dir
	if out, err := install.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("making the system tables: %w: %s", err, out), os.RemoveAll(s.dir))
	}
	return s, s.run(program)
}

func (s *mariadbServer) script(text, program string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", text, "sh", s.dir, program)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.credential}
	return cmd
}

func (s *mariadbServer) run(program string) error {
	s.cmd = s.script(mariadbRun, program)
	input, life, err := os.Pipe()
	if err != nil {
		return err
	}
	s.cmd.Stdin = input
	if err := errors.Join(s.cmd.Start(), input.Close()); err != nil {
		return errors.Join(err, life.Close())
	}
	s.life = life
	for range 2400 {
		if conn, err := net.Dial("unix", s.socket()); err == nil {
			return conn.Close()
		}
		time.Sleep(25 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return fmt.Errorf("it did not get ready: %s", log)
}

func (s *mariadbServer) socket() string { return filepath.Join(s.dir, "s") }

// ownMariaDB gives a server that the test may kill. It goes with the test.
func ownMariaDB(t testing.TB) *mariadbServer {
	t.Helper()
	s, err := startMariaDB()
	if errors.Is(err, errNoMariaDB) {
		missing(t, err.Error())
	} else if err != nil {
		t.Fatalf("starting MariaDB: %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "keep"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill(t)
		if err := os.RemoveAll(s.dir); err != nil {
			t.Error(err)
		}
	})
	return s
}

// kill ends the server at once, as a power cut would.
func (s *mariadbServer) kill(t testing.TB) {
	t.Helper()
	_ = s.life.Close()
	_ = s.cmd.Wait()
	_ = os.Remove(s.socket())
}

func (s *mariadbServer) restart(t testing.TB) {
	t.Helper()
	if err := s.run(s.cmd.Args[len(s.cmd.Args)-1]); err != nil {
		t.Fatal(err)
	}
}

func asNobody(dir string) (*syscall.Credential, error) {
	u, err := user.Lookup("mysql")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
}
