package cli_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/cli"
)

// The scripts are sourced by the shells themselves, and asked.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for shell, ask := range map[string]string{
		"bash": `source "$1"; read -ra COMP_WORDS <<<"$2"; [[ $2 == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _gatehouse; printf '%s\n' "${COMPREPLY[@]}"`,
		"zsh": `compdef() { :; }; source "$1"; compadd() { shift; print -l -- "$@" | grep -e "^${words[CURRENT]}"; }; _files() { :; }
			words=(${=2}); [[ $2 == *" " ]] && words+=(""); CURRENT=$#words; _gatehouse; true`,
		"fish": `source $argv[1]; complete -C "$argv[2]" | cut -f1`,
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			program, err := exec.LookPath(shell)
			if err != nil {
				if os.Getenv("GATEHOUSE_TEST_REQUIRE_PARTS") != "" {
					t.Fatal(err)
				}
				t.Skipf("skipped for want of a part: %v", err)
			}
			var out, errs bytes.Buffer
			if got := cli.Main([]string{"completion", shell}, nil, &out, &errs); got != 0 {
				t.Fatalf("%d %s", got, &errs)
			}
			script := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(script, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, tt := range []struct{ line, want, not string }{
				{"gatehouse ", "serve token audit stdio completion", "mcp-files issue"},
				{"gatehouse to", "token", "serve"},
				{"gatehouse token ", "issue list revoke", "serve"},
				{"gatehouse --data d token is", "issue", "revoke"},
				{"gatehouse token issue --t", "--tools --ttl", "--agent"},
				{"gatehouse token --json issue --max", "--max-uses", "--tools"},
				{"gatehouse completion ", "bash zsh fish", "serve"},
				{"gatehouse --data token au", "audit", "issue"},
				{"gatehouse token issue --agent ", "", "--tools issue serve"},
			} {
				args := map[bool][]string{true: {"--norc", "-c", ask, "sh", script, tt.line}, false: {"-c", ask, script, tt.line}}[shell == "bash"]
				if shell == "zsh" {
					args = []string{"-f", "-c", ask, "zsh", script, tt.line}
				}
				cmd := exec.CommandContext(t.Context(), program, args...)
				cmd.Dir = t.TempDir()
				cmd.Env = append(os.Environ(), "HOME="+cmd.Dir)
				got, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%q: %v %s", tt.line, err, got)
				}
				words := strings.Fields(string(got))
				for _, w := range strings.Fields(tt.want) {
					if !slices.Contains(words, w) {
						t.Errorf("%q: %q is not in %q", tt.line, w, words)
					}
				}
				for _, w := range strings.Fields(tt.not) {
					if slices.Contains(words, w) {
						t.Errorf("%q: %q is in %q", tt.line, w, words)
					}
				}
			}
		})
	}
}
