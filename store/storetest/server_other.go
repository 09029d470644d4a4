//go:build !unix

package storetest

import (
	"testing"

	"gatehouse/store"
)

// server is for systems with Unix sockets and uids.
func server(t testing.TB) string {
	t.Helper()
	missing(t, "the throwaway PostgreSQL runs on Unix only")
	return ""
}

// Server is a PostgreSQL server of one test's own.
type Server struct{}

// Own is for systems with Unix sockets and uids.
func Own(t testing.TB) *Server {
	t.Helper()
	server(t)
	return &Server{}
}

// Source gives nothing: [Own] has skipped the test.
func (*Server) Source() store.Source { return store.Source{} }

// Stop does nothing: [Own] has skipped the test.
func (*Server) Stop() {}

// Start does nothing: [Own] has skipped the test.
func (*Server) Start() {}
