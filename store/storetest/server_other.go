//go:build !unix

package storetest

import "testing"

// server is for systems with Unix sockets and uids.
func server(t testing.TB) string {
	t.Helper()
	missing(t, "the throwaway PostgreSQL runs on Unix only")
	return ""
}
