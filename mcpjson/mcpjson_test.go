package mcpjson_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gatehouse/mcpjson"
)

// valid stands for the configuration's own rule, which the command line puts in.
func valid(name string) error {
	if name == "gmail" || len(name) > 24 {
		return errors.New("taken")
	}
	return nil
}

func read(t *testing.T, text string, skip ...string) mcpjson.Found {
	t.Helper()
	found, err := mcpjson.Read("f.json", []byte(text), mcpjson.Options{Skip: skip, Valid: valid})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return found
}

func env(name string) mcpjson.Ref { return mcpjson.Ref{Env: name} }

// What each client writes is understood.
func TestClientsFiles(t *testing.T) {
	t.Parallel()
	type refs = map[string]mcpjson.Ref
	for _, tt := range []struct {
		name, text string
		want       mcpjson.Server
	}{
		{
			"Claude Desktop", `{"mcpServers":{"files":{"command":"npx","args":["-y","@modelcontextprotocol/server-filesystem@2026.8.31","/srv/docs"],"env":{"LOG_LEVEL":"info"}}},"globalShortcut":"x"}`,
			mcpjson.Server{Name: "files", Command: []string{"npx", "-y", "@modelcontextprotocol/server-filesystem@2026.8.31", "/srv/docs"}, Env: map[string]string{"LOG_LEVEL": "info"}},
		},
		{
			"Claude Code", `{"mcpServers":{"wiki":{"type":"http","url":"https://wiki.example.org/mcp","headers":{"Authorization":"Bearer ${WIKI_TOKEN}"}}}}`,
			mcpjson.Server{Name: "wiki", URL: "https://wiki.example.org/mcp", HeadersFrom: refs{"Authorization": env("WIKI_AUTHORIZATION")}},
		},
		{
			"VS Code, mcp.json", "{\n// asks\n\"inputs\":[{\"type\":\"promptString\",\"id\":\"gh-token\",\"password\":true}],\n\"servers\":{\"github\":{\"type\":\"stdio\",\"command\":\"gh-mcp\",\"env\":{\"TOKEN\":\"${input:gh-token}\",\"OTHER\":\"${env:OTHER_TOKEN}\"},},},}",
			mcpjson.Server{Name: "github", Command: []string{"gh-mcp"}, EnvFrom: refs{"TOKEN": env("GH_TOKEN"), "OTHER": env("OTHER_TOKEN")}},
		},
		{
			"VS Code, settings.json", `{"editor.fontSize":12,"mcp":{"servers":{"a":{"command":"a-mcp"}}}}`,
			mcpjson.Server{Name: "a", Command: []string{"a-mcp"}},
		},
		{
			"Windsurf", `{"mcpServers":{"w":{"serverUrl":"https://w.example.org/sse","disabledTools":["x"]}}}`,
			mcpjson.Server{Name: "w", URL: "https://w.example.org/sse"},
		},
		{
			"Gemini", `{"theme":"x","mcpServers":{"g":{"httpUrl":"https://g.example.org/mcp","timeout":5000,"trust":true,"headers":{"X-Key":"$G_KEY"}}}}`,
			mcpjson.Server{Name: "g", URL: "https://g.example.org/mcp", HeadersFrom: refs{"X-Key": env("G_KEY")}},
		},
		{
			"opencode", `{"$schema":"x","mcp":{"o":{"type":"local","command":["bun","x","o-mcp"],"environment":{"O_TOKEN":"{env:TOK}"},"enabled":true}}}`,
			mcpjson.Server{Name: "o", Command: []string{"bun", "x", "o-mcp"}, EnvFrom: refs{"O_TOKEN": env("TOK")}},
		},
		{
			"opencode with a server called servers", `{"mcp":{"servers":{"type":"remote","url":"https://o.example.org/mcp"}}}`,
			mcpjson.Server{Name: "servers", URL: "https://o.example.org/mcp"},
		},
		{
			"a file of a secret", `{"mcpServers":{"f":{"command":"f-mcp","env":{"KEY":"{file:/run/key}"}}}}`,
			mcpjson.Server{Name: "f", Command: []string{"f-mcp"}, EnvFrom: refs{"KEY": {File: "/run/key"}}},
		},
		{
			"a byte order mark", "\uFEFF" + `{"mcpServers":{"b":{"command":"b-mcp"}}}`,
			mcpjson.Server{Name: "b", Command: []string{"b-mcp"}},
		},
	} {
		got := read(t, tt.text).Servers
		if len(got) != 1 {
			t.Errorf("%s: %d servers", tt.name, len(got))
			continue
		}
		got[0].Line, got[0].Was = 0, ""
		if !reflect.DeepEqual(got[0], tt.want) {
			t.Errorf("%s: got\n%+v, want\n%+v", tt.name, got[0], tt.want)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	server := func(fields string) string { return "{\"mcpServers\":{\n\"a\":{\n" + fields + "\n}}}" }
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", ``, "not JSON"},
		{"no object", `[]`, "f.json:1: expected an object"},
		{"cut off", `{"mcpServers":`, "f.json:1: this is not JSON"},
		{"TOML", "[mcp_servers.x]\ncommand = 'x'", "not JSON"},
		{"not UTF-8", "{\"mcpServers\":{\"\xff\":{}}}", "UTF-8"},
		{"trailing bytes", "{\"mcpServers\":{\"a\":{\"command\":\"a\"}}}\nx", "f.json:2: this is not JSON"},
		{"deep", strings.Repeat("[", 100_000), "lists and objects"},
		{"large", strings.Repeat(" ", mcpjson.MaxFile+1), "larger"},
		{"no servers", `{"theme":"x"}`, "mcpServers (Claude"},
		{"two lists", "{\"mcpServers\":{},\n\"servers\":{}}", "f.json:2: it holds mcpServers and servers"},
		{"an empty list", `{"mcpServers":{}}`, "no server that can be taken over"},
		{"a list that is none", `{"mcpServers":[]}`, "must be an object"},
		{"a duplicate server", "{\"mcpServers\":{\"a\":{\"command\":\"x\"},\n\"a\":{\"command\":\"y\"}}}", "f.json:2: a name stands twice"},
		{"a duplicate by escape", "{\"mcpServers\":{\"a\":{\"command\":\"x\"},\n\"\\u0061\":{\"command\":\"y\"}}}", "f.json:2: a name stands twice"},
		{"a duplicate field", server("\"command\":\"x\",\n\"command\":\"y\""), "f.json:4: a name stands twice"},
		{"a lone surrogate", server(`"command":"\ud800"`), "not JSON"},
		{"another case", server(`"Command":"x"`), `f.json:3: server "a": the field "Command" is not understood`},
		{"a helper that would run", server("\"url\":\"https://x.example\",\n\"headersHelper\":\"/bin/x\""), `f.json:4: server "a": the field "headersHelper"`},
		{"a server that is no object", `{"mcpServers":{"a":"x"}}`, "must be an object"},
		{"nothing in it", server(``), "neither command nor url"},
		{"both", server(`"command":"x","url":"https://x.example"`), "more than one of"},
		{"two addresses", server(`"httpUrl":"https://x.example","url":"https://x.example"`), "more than one of"},
		{"an unknown type", server(`"type":"ws","url":"https://x.example"`), "none that is known"},
		{"a type that does not fit", server(`"type":"stdio","url":"https://x.example"`), "does not fit"},
		{"headers of a program", server(`"command":"x","headers":{"A":"b"}`), "headers are for servers with url"},
		{"env of an address", server(`"url":"https://x.example","env":{"A":"b"}`), "env is for servers with command"},
		{"a command that is a number", server(`"command":1`), "command must be"},
		{"an empty command", server(`"command":""`), "write the program out"},
		{"an empty list as command", server(`"command":[]`), "command must be"},
		{"a command with its arguments", server(`"command":"npx -y x"`), "holds spaces"},
		{"a relative program", server(`"command":"./x"`), "a path in full"},
		{"a home", server(`"command":"~/x"`), "write the program out"},
		{"a program in a variable", server(`"command":"${X}"`), "write the program out"},
		{"arguments that are text", server(`"command":"x","args":"-y"`), "args must be a list"},
		{"an argument that is a number", server(`"command":"x","args":[8080]`), "put it in quotes"},
		{"a NUL", server(`"command":"x","args":["a\u0000b"]`), "control character"},
		{"an editor's variable", server("\"command\":\"x\",\n\"args\":[\"${workspaceFolder}/a\"]"), `f.json:4: server "a": command holds a variable that only the client knows`},
		{"an open variable", server(`"command":"x","args":["${A"]`), "only the client knows"},
		{"a nested default", server(`"command":"x","env":{"A":"${config:x}"}`), "only the client knows"},
		{"env that is a list", server(`"command":"x","env":["A=b"]`), "env must be an object"},
		{"a variable that is a number", server(`"command":"x","env":{"PORT":8080}`), "put it in quotes"},
		{"a variable that cannot be", server(`"command":"x","env":{"A=B":"c"}`), "cannot be an environment variable"},
		{"a variable twice", server(`"command":"x","env":{"A":"1"},"environment":{"A":"2"}`), "stands in env and in environment"},
		{"a header that is a number", server(`"url":"https://x.example","headers":{"A":1}`), "put it in quotes"},
		{"another scheme", server(`"url":"ws://x.example"`), "http:// or https://"},
		{"a fragment", server(`"url":"https://x.example/#a"`), "after #"},
		{"a host in a variable", server(`"url":"https://${HOST}/mcp"`), "must be http:// or https:// and a host"},
		{"a path in a variable", server(`"url":"https://x.example/${NAME}/mcp"`), "write it out"},
		{"a secret in a path", server(`"url":"https://x.example/s/Zk3jR8vQ1mN7pT5w/mcp"`), "could hold a secret"},
		{"disabled that is text", server(`"command":"x","disabled":"no"`), "must be true or false"},
		{"a relative file of a secret", server(`"command":"x","env":{"A":"{file:key}"}`), "write its path in full"},
		{"all are off", server(`"command":"x","disabled":true`), "no server that can be taken over"},
	} {
		_, err := mcpjson.Read("f.json", []byte(tt.text), mcpjson.Options{Valid: valid})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "f.json:") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := mcpjson.Read("f.json", []byte(server(`"command":"x"`)), mcpjson.Options{Valid: valid, Skip: []string{"b"}}); err == nil {
		t.Error("a server that is not there was left out")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		was  []string
		want []string
	}{
		{[]string{"files"}, []string{"files"}},
		{[]string{"GitHub", "github"}, []string{"github", "github-2"}},
		{[]string{"my_server", "my server", "my.server"}, []string{"my-server", "my-server-2", "my-server-3"}},
		{[]string{"gmail"}, []string{"gmail-server"}},
		{[]string{"1password"}, []string{"s-1password"}},
		{[]string{"メール"}, []string{"server"}},
		{[]string{"io.github.example/the-longest-name-of-all", "io.github.example/the-longest-name"}, []string{"io-github-example-the-lo", "io-github-example-the-2"}},
		{[]string{"-a--b-"}, []string{"a-b"}},
	} {
		var members []string
		for _, name := range tt.was {
			members = append(members, fmt.Sprintf(`%q:{"command":"x"}`, name))
		}
		var got []string
		for _, s := range read(t, `{"mcpServers":{`+strings.Join(members, ",")+`}}`).Servers {
			got = append(got, s.Name)
		}
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(tt.want))) {
			t.Errorf("%q are called %q, want %q", tt.was, got, tt.want)
		}
	}
}

// Two secrets never share a variable, and none takes one that means something else.
func TestVariables(t *testing.T) {
	t.Parallel()
	found, err := mcpjson.Read("f.json", []byte(`{"mcpServers":{
		"a":{"command":"x","env":{"B_KEY":"one","C":"${A_D_KEY}","D_KEY":"two","TAKEN":"three","E":"${input:in-put}"}},
		"a-b":{"command":"x","env":{"KEY":"four","E":"${input:in_put}","F":"${input:in-put}"}}}}`),
		mcpjson.Options{Valid: valid, Taken: func(name string) bool { return name == "A_TAKEN" }})
	if err != nil {
		t.Fatal(err)
	}
	a, ab := found.Servers[0].EnvFrom, found.Servers[1].EnvFrom
	want := map[string]mcpjson.Ref{"B_KEY": env("A_B_KEY"), "C": env("A_D_KEY"), "D_KEY": env("A_D_KEY_2"), "TAKEN": env("A_TAKEN_2"), "E": env("IN_PUT")}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("a: %v, want %v", a, want)
	}
	if want := map[string]mcpjson.Ref{"KEY": env("A_B_KEY_2"), "E": env("IN_PUT_2"), "F": env("IN_PUT")}; !reflect.DeepEqual(ab, want) {
		t.Errorf("a-b: %v, want %v", ab, want)
	}
	later := read(t, `{"mcpServers":{"a":{"command":"x","env":{"KEY":"one","L":"${A_KEY}"}}}}`).Servers[0].EnvFrom
	if want := map[string]mcpjson.Ref{"KEY": env("A_KEY_2"), "L": env("A_KEY")}; !reflect.DeepEqual(later, want) {
		t.Errorf("a reference that comes later: %v, want %v", later, want)
	}
	if want := []string{"A_B_KEY", "A_B_KEY_2", "A_D_KEY", "A_D_KEY_2", "A_TAKEN_2", "IN_PUT", "IN_PUT_2"}; !slices.Equal(found.Variables, want) {
		t.Errorf("variables %v, want %v", found.Variables, want)
	}
}

// What is harmless is taken over as it is: an import that hides everything would help nobody.
func TestHarmless(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"LOG_LEVEL": "debug", "NODE_ENV": "production", "PORT": "8080", "HOST": "127.0.0.1", "DEBUG": "mcp:x", "TZ": "Europe/Berlin",
		"AWS_REGION": "eu-central-1", "MEMORY_FILE_PATH": "/srv/memory.json", "READ_ONLY": "true", "TIMEOUT_MS": "30000", "EMPTY": "",
		"LC_ALL": "C.UTF-8", "CACHE_DIR": `C:\Users\ada\cache`, "GITHUB_TOOLSETS": "repos,issues", "X": "false",
	} {
		s := read(t, fmt.Sprintf(`{"mcpServers":{"a":{"command":"x","env":{%q:%q}}}}`, name, value)).Servers[0]
		if s.Env[name] != value || len(s.EnvFrom) > 0 {
			t.Errorf("%s=%s became %v", name, value, s.EnvFrom)
		}
	}
	for _, args := range []string{
		`"-y","@modelcontextprotocol/server-filesystem","/srv/docs"`, `"mcp-server-sqlite","--db-path","/srv/shop.db"`,
		`"run","-i","--rm","-e","GITHUB_TOKEN","-p","8080:80","-v","/a:/b:ro","ghcr.io/github/github-mcp-server:v0.13.0"`,
		`"image@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"`,
		`"--from","git+https://github.com/example/mcp-server@0123456789abcdef0123456789abcdef01234567","mcp-server"`,
		`"-m","mcp_server_fetch","--ignore-robots-txt"`, `"/c","npx","-y","chrome-devtools-mcp@latest","--headless=true"`,
		`"-p","@playwright/mcp@0.0.83","playwright-mcp","--browser","chromium","--viewport-size=1280,720"`,
		`"mcp-remote","https://mcp.example.org/sse","--transport","http-only","--port","3334"`, `"--directory","C:\\Users\\ada\\server","run","server.py"`,
		`"python3","-t","stdio","--read-only","--timeout","30s"`,
	} {
		s := read(t, `{"mcpServers":{"a":{"command":"x","args":[`+args+`]}}}`).Servers[0]
		if len(s.LeftOut) > 0 {
			t.Errorf("%s: left out %v", args, s.LeftOut)
		}
	}
	if s := read(t, `{"mcpServers":{"a":{"url":"https://mcp.example.org:8443/a/mcp?toolsets=repos&read_only=true"}}}`).Servers[0]; s.URL != "https://mcp.example.org:8443/a/mcp?toolsets=repos&read_only=true" {
		t.Errorf("the address became %s", s.URL)
	}
}

// An argument goes with the flag before it, which would take the next one else.
func TestArgumentsThatAreLeftOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, want, out string }{
		{`"-y","p","--api-key","v","-v"`, "x -y p -v", "arguments 3 and 4 (--api-key …)"},
		{`"--api-key=v","-v"`, "x -v", "argument 1 (--api-key=…)"},
		{`"run","-e","API_KEY=v","image"`, "x run image", "arguments 2 and 3 (-e …)"},
		{`"postgresql://u:v@db.example.org/shop"`, "x", "argument 1"},
		{`"--db","${DB}","a"`, "x a", "arguments 1 and 2 (--db …)"},
		{`"mcp-remote@1","https://r.example.org/mcp","--header","Authorization: Bearer v"`, "x mcp-remote@1 https://r.example.org/mcp", "arguments 3 and 4 (--header …)"},
	} {
		s := read(t, `{"mcpServers":{"a":{"command":"x","args":[`+tt.args+`]}}}`).Servers[0]
		if got := strings.Join(s.Command, " "); got != tt.want || !slices.Equal(s.LeftOut, []string{tt.out}) {
			t.Errorf("%s: %s without %q, want %s without %q", tt.args, got, s.LeftOut, tt.want, tt.out)
		}
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ server, want string }{
		{`"command":"npx","args":["-y","@x/y"]`, "pin it, as @x/y@1.2.3"},
		{`"command":"uvx","args":["mcp-server-fetch"]`, "pin it"},
		{`"command":"/usr/bin/npx","args":["-y","y@1.0.0"]`, "network: any"},
		{`"command":"docker","args":["run","i"]`, "unix_sockets"},
		{`"command":"x","args":["/srv"]`, "sandbox names them"},
		{`"command":"npx","args":["mcp-remote","https://r.example.org/mcp"]`, "mcp-remote is not needed"},
		{`"command":"x","cwd":"/a"`, "cwd is not taken over"},
		{`"command":"x","envFile":".env"`, "envFile was not read"},
		{`"url":"https://x.example","oauth":{"clientId":"x"}`, "oauth is not taken over"},
		{`"url":"http://localhost:9000/mcp"`, "private: true"},
		{`"url":"https://x.example","headers":{"Content-Type":"x"}`, "Gatehouse sets it"},
		{`"command":"x","alwaysAllow":["y"],"timeout":3`, "alwaysAllow, timeout: left out"},
		{`"command":"x","env":{"A":"${B:-c}"}`, "when it is not set was not taken over"},
	} {
		found := read(t, "{\"mcpServers\":{\n\"a\":{"+tt.server+"}}}")
		if !slices.ContainsFunc(found.Notes, func(n mcpjson.Note) bool { return n.Line == 2 && n.Server == "a" && strings.Contains(n.Text, tt.want) }) {
			t.Errorf("%s: %+v, want %q", tt.server, found.Notes, tt.want)
		}
	}
	pinned := read(t, `{"mcpServers":{"a":{"command":"npx","args":["-y","@x/y@1.0.0"]}}}`)
	if slices.ContainsFunc(pinned.Notes, func(n mcpjson.Note) bool { return strings.Contains(n.Text, "pin it") }) {
		t.Errorf("a pinned package is said to have no version: %+v", pinned.Notes)
	}
}
