package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPromise_P1_BypassesDoNotCompile: the programs in testdata/bypass try to get past the gate. None compiles, each for
// the reason that stands in it.
func TestPromise_P1_BypassesDoNotCompile(t *testing.T) {
	t.Parallel()
	dirs, err := filepath.Glob("testdata/bypass/*")
	if err != nil || len(dirs) < 7 {
		t.Fatalf("%d programs, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join(dir, "main.go"))
			if err != nil {
				t.Fatal(err)
			}
			_, want, ok := strings.Cut(string(text), "// want: ")
			want, _, _ = strings.Cut(want, "\n")
			if !ok || want == "" {
				t.Fatal("the program does not say why it must not compile")
			}
			out, err := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, "./"+dir).CombinedOutput()
			if err == nil {
				t.Fatal("it compiles")
			}
			if !strings.Contains(string(out), want) {
				t.Errorf("it fails with\n%s\nwant %s", out, want)
			}
			if strings.Count(string(out), "main.go:") != 1 {
				t.Errorf("it must fail for one reason alone:\n%s", out)
			}
		})
	}
}
