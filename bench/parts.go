package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/app"
	"gatehouse/canon"
	"gatehouse/config"
	"gatehouse/outcome"
	"gatehouse/wire"
)

// tools is what the upstream lists.
const tools = `{"tools":[` +
	`{"name":"echo","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}},` +
	`{"name":"record","inputSchema":{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"]}}]}`

// record is 4 KB of JSON with personal data: all of it made up.
var record = makeRecord()

func makeRecord() string {
	one := `{\"name\":\"Maren Holt\",\"email\":\"maren.holt@example.org\",\"phone\":\"+44 7700 900118\",\"iban\":\"DE89370400440532013000\",\"note\":\"prefers copper kettles\"},`
	return `{"content":[{"type":"text","text":"[` + strings.TrimSuffix(strings.Repeat(one, 4096/len(one)), ",") + `]"}]}`
}

// answer does next to nothing, so that what is measured is what stands before it.
func answer(f wire.Frame) []byte {
	switch f.Method {
	case "initialize":
		return wire.AppendResult(nil, f.ID, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}`)
	case "tools/list":
		return wire.AppendResult(nil, f.ID, tools)
	case "tools/call":
		if target, _ := f.Target(); target == "record" {
			return wire.AppendResult(nil, f.ID, record)
		}
		return wire.AppendResult(nil, f.ID, `{"content":[{"type":"text","text":"hello"}]}`)
	}
	return wire.AppendError(nil, f.ID, wire.MethodNotFound.Because("not here"))
}

// serveBare is an upstream made by hand: next to nothing stands before its answer.
func serveBare() error {
	return serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		f, err := wire.ParseFrame(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = w.Write(answer(f))
	}))
}

// serveSDK is the same upstream made with the official Go SDK, as it comes: what stands behind most gateways is made so.
func serveSDK() error {
	server := mcp.NewServer(&mcp.Implementation{Name: "bench", Version: "1"}, nil)
	type echoArgs struct {
		Text string `json:"text"`
	}
	type recordArgs struct {
		ID int `json:"id"`
	}
	text := func(s string) *mcp.CallToolResult {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
	}
	var parsed struct{ Content []struct{ Text string } }
	if err := json.Unmarshal([]byte(record), &parsed); err != nil {
		return err
	}
	mcp.AddTool(server, &mcp.Tool{Name: "echo"}, func(_ context.Context, _ *mcp.CallToolRequest, a echoArgs) (*mcp.CallToolResult, any, error) {
		return text(a.Text), nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "record"}, func(context.Context, *mcp.CallToolRequest, recordArgs) (*mcp.CallToolResult, any, error) {
		return text(parsed.Content[0].Text), nil, nil
	})
	return serve(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
}

// serveProxy is a plain reverse proxy of the standard library. It reads bodies first: without that it cuts answers.
func serveProxy() error {
	to, err := url.Parse(os.Args[2])
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 128},
	}
	return serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
}

// serve listens on a free port of loopback, tells the parent, and ends with it.
func serve(h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }()
	tell("http://" + l.Addr().String())
	serveUsage()
	return server.Close()
}

// serveGate is a whole gateway with the upstream behind it, over stdio, and one token that may call its tools.
func serveGate() error {
	app.RelaxCollector()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	dir, profile, sdk, bare := os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	yaml := fmt.Sprintf(`listen: 127.0.0.1:0
data: %q
limits: {calls_per_minute: 100000000, in_flight: 128}
modules:
  mcp:
    servers:
      sdk: {url: %q, tools: {"*": {effect: reads, args: {text: {carries: content}}}}}
      bare: {url: %q, tools: {"*": {effect: reads, args: {text: {carries: content}}}}}
`, filepath.Join(dir, "data"), sdk, bare)
	path := filepath.Join(dir, "gatehouse.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		return err
	}
	file, err := config.Load(path)
	if err != nil {
		return err
	}
	a, err := app.New(ctx, app.Config{File: file, Version: "bench"})
	if err != nil {
		return err
	}
	l, err := a.Listen(ctx)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	served := make(chan error, 1)
	go func() { served <- a.Run(ctx, l) }()
	token, err := seed(ctx, file)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	tell("http://" + l.Addr().String() + "/mcp " + token)
	serveUsage()
	stop()
	return errors.Join(<-served, a.Close())
}

// seed adds a person who may call both tools, and a token for them.
func seed(ctx context.Context, file config.File) (token string, err error) {
	o, err := app.Operate(ctx, app.Config{File: file})
	if err != nil {
		return "", err
	}
	defer func() { _ = o.Close() }()
	call := func(tool, args string, dst any) error {
		v, err := canon.Parse([]byte(args))
		if err != nil {
			return err
		}
		got, err := o.Call(ctx, tool, v)
		if err != nil {
			return err
		}
		if got.Code != outcome.OK {
			return fmt.Errorf("%s: %w", tool, got.Code.Because("%s", got.Reason))
		}
		return json.Unmarshal(got.Result.Bytes(), dst)
	}
	var person struct {
		Person int64 `json:"person"`
	}
	var permissions struct {
		Version int64 `json:"version"`
	}
	var issued struct {
		Token string `json:"token"`
	}
	var all json.RawMessage
	if err := call("people.add", `{"email":"bench@example.org"}`, &person); err != nil {
		return "", err
	}
	for range 200 { // the upstream is starting
		if err := call("permissions.tools", `{}`, &all); err != nil {
			return "", err
		}
		if bytes.Contains(all, []byte("bare.record")) && bytes.Contains(all, []byte("sdk.record")) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := call("permissions.get", fmt.Sprintf(`{"person":%d}`, person.Person), &permissions); err != nil {
		return "", err
	}
	if err := call("permissions.set", fmt.Sprintf(`{"person":%d,"version":%d,"grants":{"sdk.echo":"allow","sdk.record":"allow","bare.echo":"allow","bare.record":"allow"}}`,
		person.Person, permissions.Version), &permissions); err != nil {
		return "", err
	}
	err = call("tokens.issue", fmt.Sprintf(`{"person":%d,"agent":"bench","tools":["sdk.echo","sdk.record","bare.echo","bare.record"],"ttl_seconds":3600}`,
		person.Person), &issued)
	return issued.Token, err
}
