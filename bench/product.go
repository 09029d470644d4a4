package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// settle is how long the product is left alone before its memory is looked at.
const settle = 2 * time.Second

// product is the memory of `gatehouse serve` as it is released, with an empty data folder, once it listens and has come to
// rest. The bench's own gate holds the bench's parts too. It needs the go command and Linux, and is zero without.
func product(ctx context.Context, dir string) (rss int64, err error) {
	if _, err := exec.LookPath("go"); err != nil || runtime.GOOS != "linux" {
		return 0, nil
	}
	program := filepath.Join(dir, "gatehouse")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "gatehouse")
	build.Env, build.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("building the product: %w", err)
	}
	serve := exec.CommandContext(ctx, program, "serve", "--data", filepath.Join(dir, "product"), "--listen", "127.0.0.1:0")
	out, err := serve.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := serve.Start(); err != nil {
		return 0, err
	}
	defer func() {
		err = errors.Join(err, serve.Process.Signal(os.Interrupt))
		_ = serve.Wait() // it was told to end
	}()
	for lines := bufio.NewScanner(out); ; {
		if !lines.Scan() {
			return 0, errors.New("the product ended before it listened")
		}
		if strings.Contains(lines.Text(), "listening on") {
			break
		}
	}
	time.Sleep(settle)
	return residentOf(serve.Process.Pid)
}
