//go:build unix

package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/store"
)

// cluster is the one server of this process.
type cluster struct {
	once   sync.Once
	socket string   // the folder of its socket
	life   *os.File // the server ends when this is closed, which the system does with the process
	err    error
}

var shared cluster

var errNoPostgres = errors.New("there is no PostgreSQL here (initdb is neither in PATH nor in /usr/lib/postgresql/*/bin)")

// server starts the server once, and gives the folder of its socket.
func server(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() { shared.err = shared.start() })
	if errors.Is(shared.err, errNoPostgres) {
		missing(t, shared.err.Error())
	} else if shared.err != nil {
		t.Fatalf("starting PostgreSQL: %v", shared.err)
	}
	return shared.socket
}

// script makes the cluster, runs it until its standard input ends, and removes it. The folder is $1, the binaries are in $2.
// Meanwhile it does as it is told: stop, as if the machine had failed, or start. Nothing is synced: the server never
// outlives the test.
const script = `
cd "$1" || exit 1
trap '' INT TERM HUP
serve() {
	"$1/postgres" -D data -k "$PWD" -h '' -F -c full_page_writes=off -c synchronous_commit=off -c wal_level=minimal \
		-c max_wal_senders=0 -c shared_buffers=32MB -c autovacuum=off -c jit=off -c max_connections=300 >>log 2>&1 </dev/null &
}
if "$2/initdb" -D data -U admin -A trust -E UTF8 --no-locale --no-sync --no-instructions >log 2>&1; then
	serve "$2"
	while read -r word; do
		case $word in
		stop) kill -QUIT $!; wait; rm -f data/postmaster.pid; touch stopped ;;
		start) rm -f stopped; serve "$2" ;;
		esac
	done
	kill -QUIT $!
	wait
fi
touch failed
cat >/dev/null
cd / && rm -rf "$1"
`

// Server is a PostgreSQL server of one test's own, which fails and comes back when the test says so.
type Server struct {
	t testing.TB
	c cluster
}

// Own starts a server that ends with the test.
func Own(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t}
	switch err := s.c.start(); {
	case errors.Is(err, errNoPostgres):
		missing(t, err.Error())
	case err != nil:
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := s.c.life.Close(); err != nil {
			t.Errorf("ending PostgreSQL: %v", err)
		}
	})
	return s
}

// Source is a fresh database on this server, as [Postgres] gives one on that of all tests.
func (s *Server) Source() store.Source {
	s.t.Helper()
	return fresh(s.t, s.c.socket)
}

// Stop ends the server at once, as a failure of its machine would: what it has not committed is gone.
func (s *Server) Stop() {
	s.t.Helper()
	s.tell("stop")
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(s.c.socket, "stopped")); err == nil {
			return
		}
		if time.Now().After(end) {
			s.t.Fatal("PostgreSQL does not stop")
		}
	}
}

// Start starts it again. It has recovered when this returns.
func (s *Server) Start() {
	s.t.Helper()
	s.tell("start")
	if err := waitReady(s.c.socket); err != nil {
		s.t.Fatalf("starting PostgreSQL again: %v", err)
	}
}

func (s *Server) tell(word string) {
	s.t.Helper()
	if _, err := s.c.life.WriteString(word + "\n"); err != nil {
		s.t.Fatalf("telling PostgreSQL to %s: %v", word, err)
	}
}

func (c *cluster) start() error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/tmp", "pg") // short: a socket's path has at most 107 bytes
	if err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", script, "sh", dir, bin)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the keyboard is for us: the end of the input tells it
	if os.Getuid() == 0 {                                 // the server refuses to run as root
		if cmd.SysProcAttr.Credential, err = asPostgres(dir); err != nil {
			return errors.Join(err, os.RemoveAll(dir))
		}
	}
	input, life, err := os.Pipe()
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	cmd.Stdin = input
	if err := errors.Join(cmd.Start(), input.Close()); err != nil {
		return errors.Join(err, life.Close(), os.RemoveAll(dir))
	}
	c.socket, c.life = dir, life
	if err := waitReady(dir); err != nil {
		return errors.Join(err, life.Close())
	}
	return nil
}

// waitReady waits for the last line of postmaster.pid: a socket that accepts may still answer that the server is starting.
func waitReady(dir string) error {
	for range 2400 {
		pid, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
		if err == nil && bytes.HasSuffix(bytes.TrimSpace(pid), []byte("ready")) {
			return nil
		}
		if _, err := os.Stat(filepath.Join(dir, "failed")); err == nil {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	return fmt.Errorf("it did not get ready: %s", log)
}

func asPostgres(dir string) (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("as root a user postgres is needed: %w", err)
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

// binaries finds the folder of initdb and postgres, the newest version if there are several.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	slices.Sort(found)
	slices.Reverse(found)
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			found = append(found, path)
		}
	}
	for _, initdb := range found {
		if _, err := os.Stat(filepath.Join(filepath.Dir(initdb), "postgres")); err == nil {
			return filepath.Dir(initdb), nil
		}
	}
	return "", errNoPostgres
}
