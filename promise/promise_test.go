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
	"testing"

	"gatehouse/demo"
)

// victimVariable holds the data folder of a gateway that the test's own binary serves until it is killed.
const victimVariable = "GATEHOUSE_TEST_PROMISE_VICTIM"

// TestMain lets the test's own binary play the files server, and the gateway that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "mcp-files" {
		os.Exit(status(demo.ServeFiles(os.Args[2], os.Args[3], os.Stdin, os.Stdout)))
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
