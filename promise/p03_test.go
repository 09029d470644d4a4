package promise_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/outcome"
)

var madeKeys = regexp.MustCompile(`gate\.NewKey\("([^"]+)"\)`)

// keyNames reads the names of all permission keys out of the source, since the process shows them to nobody.
func keyNames(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		own := filepath.Base(path) == "ledger_test.go"
		if !strings.HasPrefix(path, "../module/") && !own || strings.HasSuffix(path, "_test.go") && !own {
			return nil
		}
		b, err := os.ReadFile(path)
		for _, m := range madeKeys.FindAllSubmatch(b, -1) {
			names = append(names, string(m[1]))
		}
		return err
	})
	if err != nil || len(names) < 20 {
		t.Fatalf("%d keys found (%v): the search looks in the wrong place", len(names), err)
	}
	return names
}

// TestPromise_P3_NothingInsideIsShown makes every kind of answer through every entry, and searches all of it, the log of the
// process and the data folder for every permission key, every token and the keys of the house (T16).
func TestPromise_P3_NothingInsideIsShown(t *testing.T) {
	t.Parallel()
	yaml, dir, _ := withFiles(t)
	var received lockedBuffer
	w := newWorldWith(t, gatetest.Config{YAML: yaml, Received: &received})
	w.untilTool("files.read_file")
	needles := map[string]string{} // text to what it is
	for _, name := range keyNames(t) {
		needles[name] = "a permission key"
	}
	var tools []string
	for _, e := range w.Gate.Directory().All() {
		tools = append(tools, string(e.Name))
		needles[fmt.Sprint(int64(e.Key))] = "the number of a permission key"
		if module, tool, _ := strings.Cut(string(e.Name), "."); module == "files" {
			needles[fmt.Sprintf("%d:%s/%d:%s@", len(module), module, len(tool), tool)] = "a permission key of an upstream tool"
		}
	}
	ann, bob := w.Person("ann", tools...), w.Person("bob", "ledger.read")
	short := ann.Issue(map[string]any{"tools": tools})
	for _, token := range []gatetest.Token{ann.Token, bob.Token, short} {
		needles[token.Text] = "a token"
		needles[token.Text[3:]] = "a token without its prefix"
	}
	for _, file := range []string{"operator.key", "keys/master.json", "keys/audit.json"} {
		for _, secret := range secretsIn(t, filepath.Join(w.Data, file)) {
			needles[secret] = file
		}
	}
	for _, public := range secretsIn(t, filepath.Join(w.Data, "keys", "audit.pub")) {
		delete(needles, public)
	}
	w.answerInEveryWay(dir, tools, ann, bob, short)
	told := received.String() + w.operatorsView()
	for needle, what := range needles {
		if strings.Contains(told, needle) {
			t.Errorf("an answer holds %s: %q", what, needle)
		}
		if strings.Contains(w.log.String(), needle) {
			t.Errorf("the log of the process holds %s: %q", what, needle)
		}
	}
	for _, known := range []string{"ledger.read", "not_allowed", "openapi", "inputSchema"} {
		if !strings.Contains(told, known) {
			t.Errorf("no answer holds %q: the search looks in the wrong place", known)
		}
	}
	needles["canary-argument"] = "the argument of a call"
	for _, h := range w.Replicas() {
		w.searchFiles(h.Data, needles)
	}
	if w.shared() {
		w.searchTables(needles)
	}
}

// secretsIn are the long words of a key file.
func secretsIn(t *testing.T, path string) (all []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range regexp.MustCompile(`[A-Za-z0-9+/_=-]{32,}`).FindAll(b, -1) {
		all = append(all, string(word))
	}
	if len(all) == 0 {
		t.Fatalf("%s holds no key", path)
	}
	return all
}

// answerInEveryWay makes calls that end in all ways, and asks for all documents.
func (w *world) answerInEveryWay(dir string, tools []string, ann, bob gatetest.Person, short gatetest.Token) {
	w.t.Helper()
	for _, d := range w.Doors() {
		for _, tool := range tools {
			if tool == "tokens.issue" || tool == "tokens.revoke" {
				continue // the one shows a token, which is its purpose
			}
			d.Call(ann.Token.Text, tool, `{}`)
			d.Call(bob.Token.Text, tool, `{"text":"canary-argument"}`)
		}
		for _, args := range []string{`{"text":"canary-argument"}`, `{"do":"panic"}`, `{"do":"fail"}`, `{"do":"credential"}`, `{"no":1}`, `{"text":"contraband"}`, `{"do":"hang"}`, `[]`} {
			d.Call(ann.Token.Text, "ledger.write", args)
		}
		d.Call(ann.Token.Text, "files.read_file", `{"path":"`+dir+`/a.txt"}`)
		d.Call(ann.Token.Text, "files.read_file", `{"path":"`+dir+`/../outside.txt"}`)
		d.List(ann.Token.Text)
		d.List(bob.Token.Text)
		d.Call(wrongEnd(ann.Token.Text), "ledger.read", `{}`)
		for _, part := range []string{"tokens.current", "permissions.rights", "log.admit", "log.record"} {
			w.sabot.breaks(part, "error")
			d.Call(ann.Token.Text, "ledger.write", `{"text":"canary-argument"}`)
			w.sabot.mend()
		}
	}
	for _, path := range []string{"/v1/tools", "/v1/openapi.json", "/v1/docs", "/v1/tokens", "/v1/calls", "/v1/audit", "/v1/people", "/healthz", "/readyz", "/nothing"} {
		w.Send(http.MethodGet, path, ann.Token.Text, "", nil)
	}
	if status, body := w.post(ann.Token.Text, "ledger.write", `{"text":"canary-argument"}`, "kept"); status != http.StatusOK {
		w.t.Errorf("%d %s", status, body)
	}
	w.Revoke(short)
	for _, d := range w.Doors() {
		d.Call(short.Text, "ledger.read", `{}`)
	}
}

// operatorsView is all that the operator is shown.
func (w *world) operatorsView() string {
	w.t.Helper()
	var all strings.Builder
	for _, e := range w.Gate.Directory().All() {
		if e.Effect != gate.Reads || strings.HasPrefix(string(e.Name), "ledger.") || strings.HasPrefix(string(e.Name), "files.") {
			continue
		}
		o := w.TryOperate(string(e.Name), map[string]any{})
		all.WriteString(o.Reason + o.Result.String())
		if o.Code == outcome.OK && e.Name == "audit.search" {
			for _, r := range w.Rows()[:10] {
				all.WriteString(w.Operate("audit.get", map[string]any{"id": r.ID}).String())
			}
		}
	}
	return all.String()
}

// searchFiles searches a data folder. Numbers of keys may stand there, and each key of the house in its own file.
func (w *world) searchFiles(data string, needles map[string]string) {
	w.t.Helper()
	searched, found := 0, false
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		searched += len(b)
		found = found || bytes.Contains(b, []byte("ledger.read"))
		relative, _ := filepath.Rel(data, path)
		for needle, what := range needles {
			if what != "the number of a permission key" && what != filepath.ToSlash(relative) && bytes.Contains(b, []byte(needle)) {
				w.t.Errorf("%s holds %s: %q", relative, what, needle)
			}
		}
		return nil
	})
	if w.shared() { // what is kept of calls lies in the tables
		found, searched = searched > 0, searched*100
	}
	if err != nil || !found || searched < 10_000 {
		w.t.Errorf("searched %d bytes (%v): the search looks in the wrong place", searched, err)
	}
}
