package mcpjson_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gatehouse/mcpjson"
)

// canaries are secrets of many kinds. None may be in what comes out, wherever it stood.
var canaries = []string{
	"sk-proj-Ab3dEf6hIj9kLmN0", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "github_pat_11ABCDEFG0aBcDeFgHiJkL", "xoxb-1234567890-abcdefghij",
	"AKIAIOSFODNN7EXAMPLE", "AIzaSyD-9tSrke72PouQMnMX", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc", "hf_AbCdEfGhIjKlMnOp", "glpat-AbCdEf123456",
	"550e8400-e29b-41d4-a716-446655440000", "0123456789abcdef0123456789abcdef", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "hunter2", "Tr0ub4dor&3",
	"swordfish!9", "postgres://ada:geheim@db.example.org/shop", "st_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG123456",
	"-----BEGIN PRIVATE KEY-----", "Bearer abc", "Basic YWRhOmdlaGVpbQ==",
}

// plainCanaries look like words or numbers: they are known for secrets by where they stand alone.
var plainCanaries = []string{"swordfish", "correct horse battery staple", "47110815", "geheim"}

// TestNoSecretComesOut puts each secret into every place that a client's file has for one.
func TestNoSecretComesOut(t *testing.T) {
	t.Parallel()
	named := []string{ // places whose name says that a secret stands there
		`"command":"x","env":{"API_KEY":%q}`, `"command":"x","env":{"GITHUB_TOKEN":%q}`, `"command":"x","env":{"DB_PASSWORD":%q}`,
		`"command":"x","environment":{"SERVICE_CREDENTIALS":%q}`, `"command":"x","env":{"X":%q}`, `"command":"x","env":{"ZAPIER":%q}`,
		`"command":"x","env":{"TOKEN_PATH":%q}`, `"command":"x","env":{"A":"${B:-" + %q + "}"}`,
		`"url":"https://x.example/mcp","headers":{"Authorization":%q}`, `"url":"https://x.example/mcp","headers":{"X-Anything":%q}`,
		`"command":"x","args":["--api-key",%q]`, `"command":"x","args":["--token",%q,"-v"]`, `"command":"x","args":["-p",%q]`,
		`"command":"x","args":["--password",%q]`, `"command":"x","args":["-H",%q]`, `"command":"x","args":["--header",%q]`,
		`"command":["x","--access-token",%q]`,
		`"command":"x","cwd":%q`, `"command":"x","envFile":%q`, `"url":"https://x.example","oauth":{"clientSecret":%q}`, `"command":"x","description":%q`,
		`"type":%q,"url":"https://x.example"`, `"command":"x","args":["--a"],"enabled":%q`,
	}
	composed := []string{ // with the secret inside a text
		"\"command\":\"x\",\"args\":[\"--api-key=\x01\"]", "\"command\":\"x\",\"args\":[\"run\",\"-e\",\"API_TOKEN=\x01\",\"i\"]",
		"\"command\":\"x\",\"args\":[\"--header\",\"Authorization: Bearer \x01\"]", "\"command\":\"x\",\"args\":[\"https://u:\x01@x.example/a\"]",
		"\"command\":\"x\",\"args\":[\"https://x.example/a?api_key=\x01\"]", "\"command\":\"x\",\"args\":[\"Server=db;Password=\x01;\"]",
		"\"url\":\"https://x.example/mcp?key=\x01\"", "\"url\":\"https://ada:\x01@x.example/mcp\"", "\"url\":\"https://x.example/mcp?a=\x01&mode=\x01\"",
		"\"url\":\"https://x.example/mcp\",\"headers\":{\"Authorization\":\"Bearer \x01\"}", "\"command\":\"x\",\"env\":{\"URL\":\"https://x.example?k=\x01\"}",
		"\"command\":\"x\",\"env\":{\"API_KEY\":\"${A:-\x01}\"}", "\"command\":\"x\",\"env\":{\"API_KEY\":\"${\x01}\"}", "\"command\":\"x\",\"args\":[\"${\x01}\"]",
		"\"command\":\"${\x01}\"",
	}
	bare := []string{ // where only its looks tell
		`"command":"x","args":[%q]`, `"command":"x","args":["serve",%q]`, `"command":"x","env":{"LOG_LEVEL":%q}`, `"command":"x","env":{"CACHE_PATH":%q}`,
		`"command":"x","args":["--anything",%q]`,
	}
	try := func(server, canary string) {
		t.Helper()
		file := `{"mcpServers":{"a":{` + server + `}}}`
		found, err := mcpjson.Read("f.json", []byte(file), mcpjson.Options{Valid: valid})
		if out := fmt.Sprintf("%+v %v", found, err); strings.Contains(out, canary) {
			t.Errorf("%s:\n%s", server, out)
		}
	}
	for _, place := range named {
		if !strings.Contains(place, `" + %q + "`) {
			for _, c := range append(canaries, plainCanaries...) {
				try(fmt.Sprintf(place, c), c)
			}
		}
	}
	for _, place := range composed {
		for _, c := range append(canaries, plainCanaries...) {
			quoted, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			if word := strings.Trim(c, "abcdefghijklmnopqrstuvwxyz") == ""; word && (strings.Contains(place, "mode=") || strings.Contains(place, `"${`)) {
				continue // one word is what a mode is, and the name of a variable
			}
			try(strings.ReplaceAll(place, "\x01", strings.Trim(string(quoted), `"`)), c)
		}
	}
	for _, place := range bare {
		for _, c := range canaries {
			try(fmt.Sprintf(place, c), c)
		}
	}
	for _, c := range canaries { // broken files are not repeated either
		for _, file := range []string{`{"mcpServers":{"a":{"command":"x","env":{"K":"` + c + `"`, `{"mcpServers":{"a":"` + c + `"}}`, c} {
			_, err := mcpjson.Read("f.json", []byte(file), mcpjson.Options{Valid: valid})
			if err == nil || strings.Contains(err.Error(), c) {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}
