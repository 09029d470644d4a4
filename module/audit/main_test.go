package audit_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the tests, or plays the child process of one.
func TestMain(m *testing.M) {
	if os.Getenv(victimVariable) != "" {
		os.Exit(victim(os.Getenv(victimVariable)))
	}
	goleak.VerifyTestMain(m)
}
