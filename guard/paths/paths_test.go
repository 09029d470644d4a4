package paths_test

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/guard"
	"gatehouse/guard/paths"
)

// rule gives the rule that refuses a path, or "ok".
func rule(t testing.TB, s guard.Subject) string {
	t.Helper()
	s.Kind = guard.Path
	found, err := paths.New().Inspect(t.Context(), s)
	if err != nil {
		t.Fatalf("%q: %v", s.Text, err)
	}
	if len(found) == 0 {
		return "ok"
	}
	f := found[0]
	if f.Action != guard.Block || f.Start != 0 || f.End != len(s.Text) || f.Kind == "" {
		t.Errorf("%q: finding %+v", s.Text, f)
	}
	if len(s.Text) > 8 && strings.Contains(f.Reason, s.Text) || f.Reason == "" {
		t.Errorf("%q: the reason is %q", s.Text, f.Reason)
	}
	return f.Rule
}

func TestLooksAtPathsBeforeTheCall(t *testing.T) {
	t.Parallel()
	for k := guard.Text; k <= guard.Opaque; k++ {
		if got := paths.New().Looks(guard.Before, k); got != (k == guard.Path) {
			t.Errorf("before, %s: %v", k, got)
		}
		if paths.New().Looks(guard.After, k) {
			t.Errorf("after, %s: looks", k)
		}
	}
}

func TestPathsBelowARoot(t *testing.T) {
	t.Parallel()
	const inside, dir, win = "ok", "/srv/docs", `C:\Docs`
	for _, tt := range []struct{ root, text, want string }{
		{dir, "a.txt", inside},
		{dir, ".", inside},
		{dir, "./a//b/", inside},
		{dir, "/srv/docs", inside},
		{dir, "/srv/docs/a", inside},
		{dir, "/srv/docs/../docs/a", inside},
		{dir, "a/../b", inside},
		{dir, "../docs/a", inside},
		{dir, "a/b/../../c", inside},
		{dir, "...", inside},
		{dir, "..a/b..", inside},
		{dir, "data/...", inside},
		{dir, "file with spaces (1).txt", inside},
		{dir, "images/%20banner.png", inside},
		{dir, "100%.txt", inside},
		{dir, "50%25off.md", inside},
		{dir, "M%E4rz.pdf", inside},
		{dir, "Übersicht/żółć/日本.md", inside},
		{dir, "~$report.docx", inside},
		{dir, "~lock.odt#", inside},
		{dir, "a~/b", inside},
		{dir, `a\b.txt`, inside},
		{dir, "a:b", inside},
		{dir, "what?.md#top", inside},
		{"/", "/etc/passwd", inside},
		{"/", "../../x", inside},

		{dir, "", "empty"},
		{dir, "a\x00.txt", "control"},
		{dir, "a\nb", "control"},
		{dir, "a\u0085b", "control"},
		{dir, "a\xff", "control"},
		{dir, strings.Repeat("a/", 2049), "long"},
		{dir, "..", "outside"},
		{dir, "../a", "outside"},
		{dir, "../README.md", "outside"},
		{dir, "a/../../b", "outside"},
		{dir, "../docs-secret/a", "outside"},
		{dir, "/srv/docs-secret", "outside"},
		{dir, "/srv/doc", "outside"},
		{dir, "/srv", "outside"},
		{dir, "/", "outside"},
		{dir, "/etc/passwd", "outside"},
		{dir, "//etc/passwd", "outside"},
		{dir, "/srv/docs/../../etc/passwd", "outside"},
		{dir, "/SRV/DOCS/a", "outside"},
		{dir, "~", "home"},
		{dir, "~/.ssh/id", "home"},
		{dir, "~root/.ssh", "home"},
		{dir, "~root", "home"},
		{dir, "file:///srv/docs/a", "uri"},
		{dir, "FILE:a", "uri"},
		{dir, "https://example.org/a", "uri"},
		{dir, `C:\projects\main.go`, "drive"},
		{dir, "c:/x", "drive"},
		{dir, `..\..\a`, "encoded"},
		{dir, `\\server\share`, "encoded"},
		{dir, " /etc/passwd", "encoded"},
		{dir, "%2e%2e/a", "encoded"},
		{dir, "%2e%2e%2fa", "encoded"},
		{dir, "..%2fa", "encoded"},
		{dir, "..%5c..%5ca", "encoded"},
		{dir, "%252e%252e%252fa", "encoded"},
		{dir, "%25252e%25252e%25252fa", "encoded"},
		{dir, "%c0%ae%c0%ae%c0%afa", "encoded"},
		{dir, "%e0%80%ae%e0%80%ae/a", "encoded"},
		{dir, "%fc%80%80%80%80%ae%fc%80%80%80%80%ae/a", "encoded"},
		{dir, "%u002e%u002e/a", "encoded"},
		{dir, "..%u2215a", "encoded"},
		{dir, "\uFF0E\uFF0E\uFF0Fa", "encoded"},
		{dir, "a%00.txt", "encoded"},
		{dir, "a%0ab", "encoded"},
		{dir, "%7e/.ssh", "home"},
		{dir, "%66ile:///etc/passwd", "uri"},

		{win, `a.txt`, inside},
		{win, `a/b\c`, inside},
		{win, `C:\Docs\a`, inside},
		{win, `c:/DOCS/a`, inside},
		{win, `\docs\a`, inside},
		{win, `a\..\b`, inside},
		{win, `..\docs\b`, inside},
		{win, `..\a`, "outside"},
		{win, `a\.. \..\b`, "outside"},
		{win, `C:a`, "outside"},
		{win, `C:`, "outside"},
		{win, `D:\Docs\a`, "outside"},
		{win, `\Windows`, "outside"},
		{win, `\\server\share\a`, "outside"},
		{win, `\\?\C:\Docs\a`, "outside"},
		{win, `\\.\pipe\x`, "outside"},
		{win, `NUL`, "outside"},
		{win, `a\con.txt`, "outside"},
		{win, `a.txt:stream`, "outside"},
		{`\\Server\Share\x`, `\\server\SHARE\x\a`, inside},
		{`\\Server\Share\x`, `\\server\share\y`, "outside"},
		{`\\Server\Share\x`, `\\other\share\x`, "outside"},
	} {
		if got := rule(t, guard.Subject{Text: tt.text, Root: tt.root}); got != tt.want {
			t.Errorf("%q below %s: %s, want %s", tt.text, tt.root, got, tt.want)
		}
	}
}

func TestPathsWithoutARoot(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"../../x": "ok", "/etc/hosts": "ok", `C:\x`: "ok", "~/x": "ok", "": "empty", "a\x00": "control", "a\x7f": "control",
	} {
		if got := rule(t, guard.Subject{Text: text}); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// follow is what the gate hands to guards, in short.
func follow(p string) (string, error) {
	p = filepath.Clean(p)
	if to, err := filepath.EvalSymlinks(p); err == nil || !os.IsNotExist(err) {
		return to, err
	}
	if _, err := os.Lstat(p); err == nil {
		return "", errors.New("a link leads nowhere")
	}
	to, err := follow(filepath.Dir(p))
	return filepath.Join(to, filepath.Base(p)), err
}

func TestLinksAreFollowed(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Separator != '/' {
		t.Skip("links need another user's rights here")
	}
	real := filepath.Join(dir, "real")
	for _, d := range []string{"real/a/b", "real-not", "out/deep"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"root": real, "real/out": "../out", "real/in": "a", "real/deep": "../out/deep", "real/gone": "nowhere",
		"real/loop": "loop", "real/up": "..", "real/beside": "../real-not",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, root := range []string{real, filepath.Join(dir, "root")} {
		for text, want := range map[string]string{
			"a": "ok", "a/b/../new": "ok", "in/b": "ok", "in/../a": "ok", "new/file": "ok", root + "/a": "ok", ".": "ok",
			"up/real/a": "ok", // leaves and comes back: where it leads counts
			"out":       "link", "out/new": "link", "out/deep": "link", "deep": "link", "gone": "link", "loop": "link", "loop/x": "link",
			"up": "link", "beside/x": "link", "a/../out": "link",
			"deep/../x": "link", // by its letters it is x; the system goes to out/x
		} {
			if got := rule(t, guard.Subject{Text: text, Root: root, Resolve: follow}); got != want {
				t.Errorf("%q below %s: %s, want %s", text, filepath.Base(root), got, want)
			}
		}
	}
	broken := func(string) (string, error) { return "", errors.New("no file system") }
	if got := rule(t, guard.Subject{Text: "a", Root: real, Resolve: broken}); got != "link" {
		t.Errorf("with a file system that fails: %s", got)
	}
}

func TestHonestPathsAreNeverRefused(t *testing.T) {
	t.Parallel()
	name := rapid.StringMatching(`[A-Za-z0-9_.@+,=()\[\] éżß-]{1,20}`).Filter(func(s string) bool {
		return s == strings.TrimSpace(s) && s != "." && s != ".."
	})
	rapid.Check(t, func(t *rapid.T) {
		root := "/" + strings.Join(rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,8}`), 1, 4).Draw(t, "root"), "/")
		text := strings.Join(rapid.SliceOfN(name, 1, 8).Draw(t, "names"), "/")
		for range rapid.IntRange(0, 3).Draw(t, "detours") {
			text = rapid.StringMatching(`[a-z]{1,8}/\.\./(\./)?`).Draw(t, "detour") + text
		}
		if rapid.Bool().Draw(t, "absolute") {
			text = root + "/" + text
		}
		if found, err := paths.New().Inspect(nil, guard.Subject{Text: text, Root: root}); err != nil || len(found) > 0 { //nolint:staticcheck // it uses none
			t.Errorf("%q below %s: %v %v", text, root, found, err)
		}
	})
}

func TestPathsThatLeadOutAreAlwaysRefused(t *testing.T) {
	t.Parallel()
	part := rapid.SampledFrom([]string{"..", "..", ".", "", "a", "docs", "etc", "srv", "...", " ", "x y"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(part, 1, 10).Draw(t, "parts"), rapid.SampledFrom([]string{"/", "//"}).Draw(t, "separator"))
		checkNoEscape(t, "/srv/docs", text)
	})
}

// checkNoEscape compares with path.Clean: whatever it puts outside the root is refused.
func checkNoEscape(t interface{ Errorf(string, ...any) }, root, text string) {
	full := text
	if !path.IsAbs(text) {
		full = root + "/" + text
	}
	clean := path.Clean(full)
	inside := clean == root || strings.HasPrefix(clean, root+"/")
	found, err := paths.New().Inspect(nil, guard.Subject{Text: text, Root: root}) //nolint:staticcheck // it uses none
	if !inside && err == nil && len(found) == 0 {
		t.Errorf("%q leads to %s and went through", text, clean)
	}
}

func FuzzPaths(f *testing.F) {
	for _, seed := range []string{"a", "../a", "/srv/docs/../x", "%2e%2e/", `..\`, "%u2215", "%c0%ae", "~", "file:x", "C:", "a\x00", "%", "%u", "\uFF0E"} {
		f.Add("/srv/docs", seed)
		f.Add(`C:\Docs`, seed)
		f.Add(`\\s\h`, seed)
	}
	f.Fuzz(func(t *testing.T, root, text string) {
		checkNoEscape(t, "/srv/docs", text)
		if _, err := paths.New().Inspect(t.Context(), guard.Subject{Text: text, Root: root}); err != nil {
			t.Errorf("%q below %q: %v", text, root, err)
		}
	})
}

func BenchmarkPath(b *testing.B) {
	for b.Loop() {
		_, _ = paths.New().Inspect(b.Context(), guard.Subject{Text: "docs/samples/deployments/k8s/values.yaml", Root: "/srv/docs"})
	}
}
