//go:build breakable

package demo_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gatehouse/demo"
	"gatehouse/gate"
)

// TestTheTourNoticesEveryMissingCheck takes the tour with one check after the other switched off, each in a process of its
// own.
func TestTheTourNoticesEveryMissingCheck(t *testing.T) {
	t.Parallel()
	if check := os.Getenv("GATEHOUSE_TEST_BREAK"); check != "" {
		var out strings.Builder
		err := demo.Run(t.Context(), demo.Config{Once: true, Data: t.TempDir(), Listen: "127.0.0.1:0", Break: check, Out: &out})
		if !errors.Is(err, demo.ErrTour) {
			t.Errorf("without the check %q the tour ends with %v\n%s", check, err, out.String())
		}
		return
	}
	if len(gate.Breakable()) < 9 {
		t.Fatalf("only %v can be switched off", gate.Breakable())
	}
	for _, check := range gate.Breakable() {
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestTheTourNoticesEveryMissingCheck$", "-test.count=1")
			cmd.Env = append(os.Environ(), "GATEHOUSE_TEST_BREAK="+check)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
