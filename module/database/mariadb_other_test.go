//go:build !unix

package database_test

import "testing"

// mariadb is for systems with Unix sockets and uids.
func mariadb(t testing.TB) *mariadbServer {
	t.Helper()
	missing(t, "the throwaway MariaDB runs on Unix only")
	return nil
}

func ownMariaDB(t testing.TB) *mariadbServer { return mariadb(t) }

type mariadbServer struct{ dir string }

func (*mariadbServer) kill(testing.TB)    {}
func (*mariadbServer) restart(testing.TB) {}
func (*mariadbServer) socket() string     { return "" }
