package demo_test

import (
	"fmt"
	"os"
	"testing"

	"gatehouse/demo"
	"gatehouse/sandbox"
)

// TestMain lets the test's own binary play the files server, as the gatehouse binary does.
func TestMain(m *testing.M) {
	if status, asked := sandbox.Main(os.Args); asked {
		os.Exit(status)
	}
	if len(os.Args) == 4 && os.Args[1] == "mcp-files" {
		if err := demo.ServeFiles(os.Args[2], os.Args[3], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
