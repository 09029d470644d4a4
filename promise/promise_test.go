// Package promise_test holds the promises of docs/security.md: each is tested by name, through every entry that agents can
// use, from the agent's side and from that of the downstream system. What a customer can read stands in testdata, in the
// small language of script_test.go; the rest is Go. That the tests can fail is proved by mutants.txt and tools/mutants.
//
// These tests must never reach into a module: they see what agents, operators and downstream systems see. Only where a
// promise is about files (P3, P7, P12) do they read the data folder.
package promise_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"gatehouse/demo"
	"gatehouse/sandbox"
)

// victimVariable holds the data folder of a gateway that the test's own binary serves until it is killed.
const victimVariable = "GATEHOUSE_TEST_PROMISE_VICTIM"

// TestMain lets the test's own binary play the files server, and the gateway that is killed.
func TestMain(m *testing.M) {
	if status, asked := sandbox.Main(os.Args); asked {
		os.Exit(status)
	}
	if len(os.Args) == 4 && os.Args[1] == "mcp-files" {
		os.Exit(status(demo.ServeFiles(os.Args[2], os.Args[3], os.Stdin, os.Stdout)))
	}
	if len(os.Args) > 1 && os.Args[1] == "intrude" {
		intrude()
	}
	if dir := os.Getenv(victimVariable); dir != "" {
		os.Exit(status(serveUntilKilled(dir)))
	}
	os.Exit(m.Run())
}

func status(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestPromise_P1_OneDoor(t *testing.T)           { scripts(t, "p01_*.txt") }
func TestPromise_P2_EmptyMeansNothing(t *testing.T) { scripts(t, "p02_*.txt") }
func TestPromise_P3_KeysStayInside(t *testing.T)    { scripts(t, "p03_*.txt") }
func TestPromise_P4_OnlyNarrower(t *testing.T)      { scripts(t, "p04_*.txt") }
func TestPromise_P5_GoneMeansGone(t *testing.T)     { scripts(t, "p05_*.txt") }
func TestPromise_P6_NoRowNoResult(t *testing.T)     { scripts(t, "p06_*.txt") }

// TestMutantsFindTheirLines: a line of mutants.txt that is in no file any more proves nothing, and neither does a promise
// with fewer than two. That they turn their tests red is seen by tools/mutants.
func TestMutantsFindTheirLines(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("mutants.txt")
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]int{}
	for i, line := range strings.Split(string(list), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, " | ")
		if len(f) != 6 {
			t.Errorf("mutants.txt:%d has %d fields, not 6", i+1, len(f))
			continue
		}
		of[f[0]]++
		b, err := os.ReadFile("../" + f[1])
		if err != nil {
			t.Error(err)
			continue
		}
		n := 0
		for _, one := range strings.Split(string(b), "\n") {
			if strings.TrimSpace(one) == f[2] {
				n++
			}
		}
		if n != 1 {
			t.Errorf("mutants.txt:%d: the line stands in %s %d times, not once: %s", i+1, f[1], n, f[2])
		}
	}
	for _, promise := range []string{"P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P11", "P12", "P13"} {
		if of[promise] < 2 {
			t.Errorf("%s has %d lines, want two at least", promise, of[promise])
		}
	}
}
