package mcpjson_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"gatehouse/mcpjson"
)

var (
	serverName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	anyEnv     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// FuzzRead: no file brings the reader down; what is taken over keeps the rules that the configuration has; what is refused
// says which file.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"mcpServers":{"Git Hub":{"command":"npx","args":["-y","@x/y","--api-key=k"],"env":{"A_KEY":"v","LOG_LEVEL":"info"}}}}`,
		"{\"servers\":{\"a\":{\"type\":\"http\",\"url\":\"https://u:p@x.example/mcp?k=v\",\"headers\":{\"Authorization\":\"Bearer ${A}\"},},}, /* c */ }",
		`{"mcp":{"o":{"type":"local","command":["a","b"],"environment":{"K":"{file:/k}"}}}}`,
		`{"mcpServers":{"a":{"command":"x","env":{"A":"${input:b}","B":"${env:C}","D":"${E:-f}","G":"%H%"}}}}`, `[`, `{"mcpServers":{"\ud800":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := mcpjson.Read("f.json", text, mcpjson.Options{Valid: valid})
		if err != nil {
			if !errors.As(err, new(*mcpjson.Error)) || !strings.HasPrefix(err.Error(), "f.json:") {
				t.Errorf("no place in %v", err)
			}
			return
		}
		names := map[string]bool{}
		for _, s := range found.Servers {
			if !serverName.MatchString(s.Name) || len(s.Name) > 24 || names[s.Name] {
				t.Errorf("a server is called %q", s.Name)
			}
			names[s.Name] = true
			if (len(s.Command) > 0) == (s.URL != "") {
				t.Errorf("it is a program and an address, or neither: %+v", s)
			}
			for _, word := range s.Command {
				if strings.ContainsFunc(word, unicode.IsControl) {
					t.Errorf("a control character in %q", s.Command)
				}
			}
			for _, refs := range []map[string]mcpjson.Ref{s.EnvFrom, s.HeadersFrom} {
				for name, ref := range refs {
					if (ref.Env == "") == (ref.File == "") || ref.Env != "" && !anyEnv.MatchString(ref.Env) {
						t.Errorf("%s refers to %+v", name, ref)
					}
				}
			}
		}
		for _, n := range found.Notes {
			if n.Line < 1 {
				t.Errorf("no line in %+v", n)
			}
		}
	})
}
