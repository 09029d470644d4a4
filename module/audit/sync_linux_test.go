package audit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAnswersLeaveAfterTheSync is T26: between two answers to one caller the system calls show a sync of the disk. Killing
// the process never tests this, for the system keeps what it was given.
func TestAnswersLeaveAfterTheSync(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("there is no strace here")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-qq", "-e", "trace=fsync,fdatasync,write", "-e", "signal=none", "-o", trace, os.Args[0])
	cmd.Env = append(os.Environ(), victimVariable+"="+t.TempDir(), singleVariable+"=1")
	out, err := cmd.Output()
	if err != nil {
		if text, _ := os.ReadFile(trace); len(text) == 0 {
			t.Skipf("strace cannot trace here: %v", err)
		}
		t.Fatal(err)
	}
	answer := regexp.MustCompile(`write\(1, "row `)
	sync := regexp.MustCompile(`(fsync|fdatasync)(\(\d+\)| resumed>\)) += 0`)
	answers, synced := 0, false
	for line := range strings.Lines(readFile(t, trace)) {
		switch {
		case sync.MatchString(line):
			synced = true
		case answer.MatchString(line):
			if !synced {
				t.Errorf("answer %d left before a sync", answers)
			}
			answers, synced = answers+1, false
		}
	}
	if want := strings.Count(string(out), "row "); answers != want || want != singleRows {
		t.Errorf("%d answers in the trace, %d on standard output, want %d", answers, want, singleRows)
	}
}
