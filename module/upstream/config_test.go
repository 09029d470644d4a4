package upstream_test

import (
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/module/upstream"
)

func request(tool string) gate.Request {
	return gate.Request{Tool: gate.ToolName(tool), Arguments: []byte(`{}`)}
}

// TestRefusedConfigurations: what must not start does not, and says where it stands.
func TestRefusedConfigurations(t *testing.T) {
	t.Parallel()
	root := "        tools: {x: {effect: reads, args: {path: {kind: path, root: %s}}}}\n"
	for _, tt := range []struct{ name, servers, want string }{
		{"our own name", "      audit: {command: [true]}\n", "yaml:4:7: server \"audit\": the name is one of Gatehouse's own"},
		{"our own path", "      web: {command: [\"true\"]}\n", "yaml:4:7: server \"web\""},
		{"bad name", "      Files: {command: [\"true\"]}\n", "yaml:4:7: server \"Files\""},
		{"long name", "      a" + strings.Repeat("b", 24) + ": {command: [\"true\"]}\n", "at most 24"},
		{"no command", "      far: {}\n", "neither command"},
		{"relative program", "      far: {command: [./run]}\n", "absolute"},
		{"url and command", "      far: {url: \"http://127.0.0.1/mcp\", command: [\"true\"]}\n", "either an address or a program"},
		{"url and env", "      far: {url: \"http://127.0.0.1/mcp\", env: {A: b}}\n", "either an address or a program"},
		{"url of another scheme", "      far: {url: \"tcp://127.0.0.1:80\"}\n", "http:// or https://"},
		{"url with a password", "      far: {url: \"http://a:hunter2@127.0.0.1/mcp\"}\n", "a user or password"},
		{"url with a fragment", "      far: {url: \"http://127.0.0.1/mcp#x\"}\n", "after #"},
		{"url in decimal", "      far: {url: \"http://2130706433/mcp\"}\n", "ends in a number"},
		{"url in octal", "      far: {url: \"http://0177.0.0.1/mcp\"}\n", "ends in a number"},
		{"private for a program", "      far: {command: [\"true\"], private: true}\n", "are for servers with url"},
		{"headers for a program", "      far: {command: [\"true\"], headers_from: {A: {env: HOME}}}\n", "are for servers with url"},
		{"sandbox for an address", "      far: {url: \"http://127.0.0.1/mcp\", sandbox: {network: any}}\n", "either an address or a program"},
		{"headers of nobody", "      far: {url: \"http://127.0.0.1/mcp\", headers_from: {A: {env: HOME}}}\n", "credentials: shared"},
		{"credentials without headers", "      far: {url: \"http://127.0.0.1/mcp\", credentials: shared}\n", "there is none"},
		{"credentials of other kinds", "      far: {url: \"http://127.0.0.1/mcp\", credentials: personal, headers_from: {A: {env: HOME}}}\n", "credentials: shared"},
		{"a header of the protocol", "      far: {url: \"http://127.0.0.1/mcp\", credentials: shared, headers_from: {mcp-session-id: {env: HOME}}}\n", "the protocol's own"},
		{"a header of the connection", "      far: {url: \"http://127.0.0.1/mcp\", credentials: shared, headers_from: {host: {env: HOME}}}\n", "the protocol's own"},
		{"a header twice", "      far: {url: \"http://127.0.0.1/mcp\", credentials: shared, headers_from: {X-A: {env: HOME}, x-a: {env: HOME}}}\n", "twice"},
		{"no header", "      far: {url: \"http://127.0.0.1/mcp\", credentials: shared, headers_from: {\"a b\": {env: HOME}}}\n", "cannot be a header"},
		{"a secret in plain", "      far: {url: \"http://127.0.0.1/mcp\", credentials: shared, headers_from: {A: hunter2}}\n", "yaml:4:"},
		{"sandbox", "      far: {command: [\"true\"], sandbox: on}\n", "sandbox is off, or the fields"},
		{"sandbox with an unknown field", "      far: {command: [\"true\"], sandbox: {reads: [/srv]}}\n", "unknown field \"reads\""},
		{"sandbox that reads the data folder", "      far: {command: [\"true\"], sandbox: {read: [$DIR/data/keys]}}\n", "/data or lies in it"},
		{"sandbox that reads around the data folder", "      far: {command: [\"true\"], sandbox: {read: [$DIR]}}\n", "sandbox.read"},
		{"sandbox that writes the configuration", "      far: {command: [\"true\"], sandbox: {write: [gatehouse.yaml]}}\n", "sandbox.write"},
		{"sandbox that reads all", "      far: {command: [\"true\"], sandbox: {read: [/]}}\n", "data folder"},
		{"sandbox in which the program could change itself", "      far: {command: [/bin/sh], sandbox: {write: [/usr]}}\n", "could change itself"},
		{"network", "      far: {command: [\"true\"], sandbox: {network: loopback}}\n", "network \"loopback\""},
		{"user", "      far: {command: [\"true\"], sandbox: {user: nobody-of-that-name}}\n", "no user nobody-of-that-name"},
		{"effect", "      far:\n        command: [\"true\"]\n        tools: {x: {effect: harmless}}\n", "yaml:6:"},
		{"kind", "      far:\n        command: [\"true\"]\n        tools: {x: {args: {a: {kind: paths}}}}\n", "server far: tool x: argument \"/a\": kind \"paths\""},
		{"carries", "      far:\n        command: [\"true\"]\n        tools: {x: {args: {a: {carries: all}}}}\n", "carries \"all\""},
		{"price", "      far:\n        command: [\"true\"]\n        tools: {x: {price: -1}}\n", "a price is"},
		{"relative root", "      far:\n        command: [\"true\"]\n" + strings.ReplaceAll(root, "%s", "docs"), "absolute path"},
		{"root with dots", "      far:\n        command: [\"true\"]\n" + strings.ReplaceAll(root, "%s", "/srv/../srv"), "plain form"},
		{"root of another kind", "      far:\n        command: [\"true\"]\n        tools: {x: {args: {a: {kind: url, root: /srv}}}}\n", "root is for kind path"},
		{"root in the data folder", "      far:\n        command: [\"true\"]\n" + strings.ReplaceAll(root, "%s", "$DIR/data/work"), "data folder"},
		{"root around the data folder", "      far:\n        command: [\"true\"]\n" + strings.ReplaceAll(root, "%s", "$DIR"), "data folder"},
		{"root of all", "      far:\n        command: [\"true\"]\n" + strings.ReplaceAll(root, "%s", "/"), "data folder"},
		{"argument in the data folder", "      far: {command: [\"true\", $DIR/data/keys]}\n", "data folder"},
		{"argument around the data folder", "      far: {command: [\"true\", $DIR]}\n", "data folder"},
		{"environment", "      far: {command: [\"true\"], env: {\"A=B\": c}}\n", "environment variable"},
		{"twice", "      far: {command: [\"true\"], env: {A: b}, env_from: {A: {env: HOME}}}\n", "env and in env_from"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := gatetest.TryStart(t, gatetest.Config{YAML: "modules:\n  mcp:\n    servers:\n" + tt.servers})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestTooManyServers: programs are bounded.
func TestTooManyServers(t *testing.T) {
	t.Parallel()
	servers := ""
	for i := range 33 {
		servers += "      s" + strings.Repeat("x", i%20) + string(rune('a'+i/20)) + ": {command: [\"true\"]}\n"
	}
	_, err := gatetest.TryStart(t, gatetest.Config{YAML: "modules:\n  mcp:\n    servers:\n" + servers})
	if err == nil || !strings.Contains(err.Error(), "more than 32") {
		t.Errorf("got %v", err)
	}
}

// TestDatabaseIsNamedAfterTheFolder: upstream.db, though the section is called mcp.
func TestDatabaseIsNamedAfterTheFolder(t *testing.T) {
	t.Parallel()
	h := gatetest.Start(t, gatetest.Config{YAML: "modules:\n  mcp: {servers: {}}\n"})
	if found, err := filepath.Glob(filepath.Join(h.Data, "upstream.db")); err != nil || len(found) != 1 {
		t.Errorf("%q %v", found, err)
	}
	if _, ok := h.Gate.Directory().Find("servers.review"); !ok {
		t.Error("servers.review is missing")
	}
}

func TestPrices(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]gate.Money{"0": 0, "1": 1_000_000, "0.25": 250_000, "0.000001": 1, "12.5": 12_500_000, "999999999.999999": 999_999_999_999_999} {
		if got, err := upstream.ReadPrice(text); err != nil || got != want {
			t.Errorf("%s is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1.", ".5", "1e3", "0.0000001", "1234567890", "01", "0x10", "1_000"} {
		if got, err := upstream.ReadPrice(text); err == nil {
			t.Errorf("%q is taken as %d", text, got)
		}
	}
}
