// Command mutants shows that the promises' tests can fail. For each line of promise/mutants.txt it takes one line of the
// gateway away, or puts another in its place, runs the test that guards it, and expects red. It must never change the
// tree: the compiler is told of a changed file by an overlay.
//
// A line of mutants.txt has six fields between " | ":
//
//	promise | file | line, without the space around it | what stands there instead, or (delete) | test | package
//
// The line must stand in the file exactly once. The test is a regular expression as go test -run takes it, and must be
// green without the mutation. A mutation that does not compile proves nothing and counts as a failure, as a green test does.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	list := flag.String("list", "promise/mutants.txt", "the file of mutations")
	only := flag.String("only", "", "only lines that match this regular expression")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *list, *only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// errSurvived says that a mutation did not turn its test red.
var errSurvived = errors.New("not every line is red")

func run(ctx context.Context, list, only string) error {
	all, err := read(list, only)
	if err != nil {
		return err
	}
	if err := green(ctx, all); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fmt.Printf("%-4s %-6s %5s  %-26s %-58s %s\n", "", "", "s", "file", "line", "test")
	began, survived := time.Now(), 0
	for _, m := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		verdict, output, took := m.try(ctx, dir)
		fmt.Printf("%-4s %-6s %5.1f  %-26s %-58s %s\n", m.promise, verdict, took.Seconds(), m.file, cut(m.line, 57), m.test)
		if verdict != red {
			survived++
			fmt.Println(indent(output))
		}
	}
	fmt.Printf("%d mutations, %d not red, %s\n", len(all), survived, time.Since(began).Round(time.Second))
	if survived > 0 {
		return errSurvived
	}
	return nil
}

// mutation is one line of the list.
type mutation struct {
	promise, file, line, instead, test, pkg string
	where                                   string // in the list
}

// read parses the list. Lines that are empty or begin with # are skipped.
func read(list, only string) (all []mutation, err error) {
	b, err := os.ReadFile(list)
	if err != nil {
		return nil, fmt.Errorf("reading the list: %w", err)
	}
	wanted, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("reading -only: %w", err)
	}
	for i, line := range strings.Split(string(b), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' || !wanted.MatchString(line) {
			continue
		}
		f := strings.Split(line, " | ")
		if len(f) != 6 {
			return nil, fmt.Errorf("%s:%d: %d fields, not 6", list, i+1, len(f))
		}
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		all = append(all, mutation{f[0], f[1], f[2], f[3], f[4], f[5], fmt.Sprintf("%s:%d", list, i+1)})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: there is nothing to do", list)
	}
	return all, nil
}

// green runs each test once as things stand: a test that is red anyway shows nothing.
func green(ctx context.Context, all []mutation) error {
	tests := map[string][]string{}
	for _, m := range all {
		tests[m.pkg] = append(tests[m.pkg], m.test)
	}
	for pkg, names := range tests {
		// Subtests cannot be joined by |, so the whole of each test runs here.
		for i, name := range names {
			names[i], _, _ = strings.Cut(name, "/")
		}
		output, err := test(ctx, "", strings.Join(names, "|"), pkg)
		if err != nil {
			return fmt.Errorf("the tests of %s are red without a mutation:\n%s", pkg, indent(output))
		}
	}
	return nil
}

// The verdicts.
const (
	red     = "red"
	alive   = "GREEN"  // the test did not notice
	invalid = "BROKEN" // the mutation could not be tried
)

// try applies the mutation and runs its test.
func (m mutation) try(ctx context.Context, dir string) (verdict, output string, took time.Duration) {
	began := time.Now()
	overlay, err := m.apply(dir)
	if err != nil {
		return invalid, err.Error(), 0
	}
	output, err = test(ctx, overlay, m.test, m.pkg)
	took = time.Since(began)
	switch {
	case strings.Contains(output, "[build failed]") || strings.Contains(output, "[setup failed]"):
		return invalid, m.where + ": it does not compile\n" + output, took
	case strings.Contains(output, "no tests to run"):
		return invalid, m.where + ": no test has that name", took
	case err == nil:
		return alive, m.where, took
	case !strings.Contains(output, "FAIL"):
		return invalid, m.where + ": " + err.Error() + "\n" + output, took
	}
	return red, output, took
}

// apply writes the changed file and the overlay that puts it in the place of the real one.
func (m mutation) apply(dir string) (overlay string, err error) {
	path, err := filepath.Abs(m.file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", m.where, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", m.where, err)
	}
	lines, found := strings.Split(string(b), "\n"), 0
	for i, line := range lines {
		if strings.TrimSpace(line) != m.line {
			continue
		}
		found++
		lines[i] = m.instead
		if m.instead == "(delete)" {
			lines[i] = ""
		}
	}
	if found != 1 {
		return "", fmt.Errorf("%s: the line stands in %s %d times, not once: %s", m.where, m.file, found, m.line)
	}
	changed := filepath.Join(dir, "changed.go")
	if err := os.WriteFile(changed, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		return "", fmt.Errorf("%s: %w", m.where, err)
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err != nil {
		return "", fmt.Errorf("%s: %w", m.where, err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// test runs tests. The overlay goes into the environment, so that a test that calls the compiler compiles the same.
func test(ctx context.Context, overlay, name, pkg string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-short", "-vet=off", "-timeout=5m", "-run", name, pkg)
	cmd.Env = os.Environ()
	if overlay != "" {
		cmd.Env = append(cmd.Env, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay))
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// indent shows the end of an output.
func indent(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > 30 {
		lines = lines[len(lines)-30:]
	}
	return "     " + strings.Join(lines, "\n     ")
}
