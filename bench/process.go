package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"
)

// process is a part that was started. It answers each line on its input with what it has used.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	mu  sync.Mutex // one question at a time
}

// usage is what a process has used so far.
type usage struct {
	cpu time.Duration // user and system, without its children
	rss int64         // bytes resident now
}

// start starts a part and gives the first line that it prints.
func start(ctx context.Context, args ...string) (p *process, first string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	p = &process{cmd: exec.CommandContext(ctx, self, args...)}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, "", err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, "", err
	}
	if !p.out.Scan() {
		return nil, "", errors.Join(fmt.Errorf("%s did not start", args[0]), p.end())
	}
	return p, p.out.Text(), nil
}

func (p *process) usage() (u usage, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := io.WriteString(p.in, "usage\n"); err != nil {
		return u, err
	}
	if !p.out.Scan() {
		return u, errors.New("a part of the bench ended early")
	}
	_, err = fmt.Sscan(p.out.Text(), &u.cpu, &u.rss)
	return u, err
}

// end closes the part's input, at which it stops.
func (p *process) end() error {
	return errors.Join(p.in.Close(), p.cmd.Wait())
}

func tell(line string) { fmt.Println(line) }

// serveUsage answers until the input ends.
func serveUsage() {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		cpu, err := processTime()
		if err != nil {
			return
		}
		tell(fmt.Sprint(int64(cpu), " ", resident()))
	}
}

// resident is the memory that the process holds: what the kernel says, or where it is not asked what Go says.
func resident() int64 {
	if rss, err := residentOf(os.Getpid()); err == nil {
		return rss
	}
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// residentOf is what the kernel says of any process.
func residentOf(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("the kernel does not say what is resident")
}

// parts are all that was started.
type parts struct {
	dir       string
	gate      *process
	upstreams []upstream
	firstCall time.Duration // from the gate's start to its first answered call
	all       []*process
}

// upstream is an MCP server, and the ways to it.
type upstream struct {
	name                   string
	direct, proxied, gated *target
}

func startAll(ctx context.Context, profile string) (h *parts, err error) {
	h = &parts{}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if h.dir, err = os.MkdirTemp("", "gatehouse-bench-"); err != nil {
		return h, err
	}
	for _, name := range []string{"sdk", "bare"} {
		u := upstream{name: name}
		if u.direct, err = h.start(ctx, "direct", name); err != nil {
			return h, err
		}
		if u.proxied, err = h.start(ctx, "proxy", "proxy", u.direct.url); err != nil {
			return h, err
		}
		h.upstreams = append(h.upstreams, u)
	}
	began := time.Now()
	gated, err := h.start(ctx, "gate", "gate", h.dir, profile, h.upstreams[0].direct.url, h.upstreams[1].direct.url)
	if err != nil {
		return h, err
	}
	h.gate = gated.process
	url, token, _ := strings.Cut(gated.url, " ")
	for i := range h.upstreams {
		u := &h.upstreams[i]
		u.gated = &target{name: "gate", process: h.gate, url: url, token: token, prefix: u.name + "__", http: client()}
	}
	err = h.upstreams[0].gated.call(ctx, scenario{"echo", `{"text":"hello"}`, 1})
	h.firstCall = time.Since(began)
	return h, err
}

// start starts a part that says where it listens.
func (h *parts) start(ctx context.Context, name, part string, args ...string) (*target, error) {
	p, at, err := start(ctx, append([]string{part}, args...)...)
	if err != nil {
		return nil, err
	}
	h.all = append(h.all, p)
	return &target{name: name, process: p, url: at, http: client()}, nil
}

func client() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true}}
}

func (h *parts) close() {
	for _, p := range h.all {
		if err := p.end(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: ending a part:", err)
		}
	}
	if err := os.RemoveAll(h.dir); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}
