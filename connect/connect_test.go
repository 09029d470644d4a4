package connect_test

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"gatehouse/connect"
)

const address = `http://127.0.0.1:8080/mcp?a="b'\`

// Each snippet is well made in its language, holds the address exactly, and a token only where one was given.
func TestSnippetsParse(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"", "st_secret"} {
		all, err := connect.Snippets(connect.Target{URL: address, Token: token, TokenFile: `C:\t "x"`})
		if err != nil || len(all) != len(connect.IDs()) {
			t.Fatal(all, err)
		}
		for _, s := range all {
			t.Run(s.ID, func(t *testing.T) {
				var strs []string
				switch s.Format {
				case connect.JSON:
					var v any
					if err := json.Unmarshal([]byte(s.Text), &v); err != nil {
						t.Fatalf("%s: %v", s.Text, err)
					}
					strs = texts(v)
				case connect.TOML:
					strs = toml(t, s.Text)
				case connect.Shell:
					out, err := exec.CommandContext(t.Context(), "sh", "-c", "claude() { printf '%s\\n' \"$@\"; }; GATEHOUSE_TOKEN=st_v; "+s.Text).Output()
					if err != nil {
						t.Fatalf("%s: %v", s.Text, err)
					}
					strs = strings.Split(string(out), "\n")
				}
				all := "\n" + strings.Join(strs, "\n") + "\n"
				if !strings.Contains(all, "\n"+address+"\n") {
					t.Errorf("the address is not in %s", s.Text)
				}
				if strings.Contains(s.Text, "st_secret") != (token != "" && strings.Contains(s.Text, "Bearer st_")) {
					t.Errorf("the token: %s", s.Text)
				}
				if strings.Contains(all, "Bearer") && s.Note == "" && token == "" {
					t.Errorf("it does not say where the token goes: %s", s.Text)
				}
				if s.ID == "claude-desktop" && !strings.Contains(all, "\n"+`C:\t "x"`+"\n") {
					t.Errorf("the file's name: %s", s.Text)
				}
			})
		}
	}
	if _, err := connect.For("emacs", connect.Target{}); err == nil || !strings.Contains(err.Error(), "cursor") {
		t.Errorf("an unknown client: %v", err)
	}
}

// texts are all strings of a JSON value.
func texts(v any) (all []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			all = append(all, texts(e)...)
		}
	case map[string]any:
		for _, e := range v {
			all = append(all, texts(e)...)
		}
	}
	return all
}

// toml reads the little of TOML that is used: a table's name, and basic strings, whose escapes here are those of JSON.
func toml(t *testing.T, text string) (all []string) {
	t.Helper()
	for i, line := range strings.Split(text, "\n") {
		if i == 0 && regexp.MustCompile(`^\[[a-z_.]+\]$`).MatchString(line) {
			continue
		}
		m := regexp.MustCompile(`^[a-z_]+ = (".*")$`).FindStringSubmatch(line)
		var s string
		if m == nil || json.Unmarshal([]byte(m[1]), &s) != nil {
			t.Fatalf("the line %s", line)
		}
		all = append(all, s)
	}
	return all
}
