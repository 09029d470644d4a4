package audit_test

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// TestExport: every row once, as it was hashed, in one call with one row; only for the operator; formulas made harmless.
func TestExport(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		d := newDoor(t, source)
		fill(d.log, 1100) // more than two pages
		evil := row(t, gate.Reads, outcome.NotAllowed)
		evil.Person, evil.Tool, evil.Agent, evil.Session = bob, `=HYPERLINK("http://evil.example","x")`, "@cmd", "+1,\"\n2"
		d.log.record(evil)
		var e audit.Export
		if o := d.call(d.operator(), "audit.export", `{}`, &e); o.Code != outcome.OK {
			t.Fatal(o.Code, o.Reason)
		}
		text := readFile(t, filepath.Join(source.Dir, e.File))
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		sum := sha256.Sum256([]byte(text))
		if len(lines) != 1101 || e.Rows != 1101 || e.Bytes != int64(len(text)) || e.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%d lines, %+v", len(lines), e)
		}
		hash := regexp.MustCompile(`"hash":"([0-9a-f]{64})",`)
		for i, body := range bodies(t, d.log.DB())[:1101] {
			sum := sha256.Sum256([]byte(body))
			if m := hash.FindStringSubmatch(lines[i]); m == nil || m[1] != hex.EncodeToString(sum[:]) || strings.Replace(lines[i], m[0], "", 1) != body {
				t.Fatalf("line %d is\n%s\nof the row\n%s", i, lines[i], body)
			}
		}
		all, _, err := audit.Rows(t.Context(), d.log.DB(), d.log.sealer)
		if err != nil || len(all) != 1102 || all[1101].Tool != "audit.export" || all[1101].Intent == "" {
			t.Errorf("the export has %d rows, %v", len(all)-1101, err)
		}
		d.call(d.operator(), "audit.export", `{"format":"csv","person":1700000000002}`, &e)
		cells, err := csv.NewReader(strings.NewReader(readFile(t, filepath.Join(source.Dir, e.File)))).ReadAll()
		if err != nil || len(cells) != 2 || e.Rows != 1 {
			t.Fatalf("%v, %v", cells, err)
		}
		for i, heading := range cells[0] {
			if strings.ContainsAny(cells[1][i][:min(1, len(cells[1][i]))], "=+-@") {
				t.Errorf("%s is %q", heading, cells[1][i])
			}
		}
		if joined := strings.Join(cells[1], "|"); !strings.Contains(joined, `'=HYPERLINK`) || !strings.Contains(joined, "'@cmd") {
			t.Error(joined)
		}
		d.call(d.operator(), "audit.export", `{"to":"2001-01-01T00:00:00Z"}`, &e)
		if e.Rows != 0 || e.Bytes != 0 {
			t.Errorf("nothing is %+v", e)
		}
		d.admin[ada] = true
		if o := d.call(d.token(1700000000009, ada), "audit.export", `{}`, nil); o.Code != outcome.NotAllowed {
			t.Errorf("a token exports: %s", o.Code)
		}
		for _, args := range []string{`{"format":"xml"}`, `{"from":"today"}`, `{"limit":5}`} {
			if o := d.call(d.operator(), "audit.export", args, nil); o.Code != outcome.Invalid {
				t.Errorf("%s: %s", args, o.Code)
			}
		}
	})
}

// TestExportOfTheWholeLog: a copy is a SQLite file on either engine, pruned ranges and all; it verifies alone, and a change of
// it is found.
func TestExportOfTheWholeLog(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		d := oldDoor(t, source)
		if code, _ := d.prune(); code != outcome.OK {
			t.Fatal(code)
		}
		var e audit.Export
		if o := d.call(d.operator(), "audit.export", `{"format":"sqlite"}`, &e); o.Code != outcome.OK {
			t.Fatal(o.Code, o.Reason)
		}
		path := filepath.Join(source.Dir, e.File)
		text := readFile(t, path)
		if sum := sha256.Sum256([]byte(text)); e.SHA256 != hex.EncodeToString(sum[:]) || e.Bytes != int64(len(text)) || e.Rows != 1231 {
			t.Errorf("%+v", e)
		}
		public, err := audit.ReadPublicKey(d.log.config.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		o := audit.VerifyOptions{Sealer: d.log.sealer, PublicKey: public}
		if r, err := audit.VerifyCopy(t.Context(), path, o); err != nil || !r.OK || r.Ended != 1200 || r.Rows != 1231 || r.Opened != 31 {
			t.Errorf("%+v, %v", r, err)
		}
		(&intruder{t: t, lite: raw(t, path)}).do(`DELETE FROM payload WHERE (id, seq) = (SELECT id, seq FROM log WHERE n = 1210)`)
		if r, err := audit.VerifyCopy(t.Context(), path, o); err != nil || r.OK || r.Fault.N != 1210 {
			t.Errorf("%+v, %v", r, err)
		}
		if o := d.call(d.operator(), "audit.export", `{"format":"sqlite","person":1700000000002}`, nil); o.Code != outcome.Invalid {
			t.Errorf("a filter: %s", o.Code)
		}
	})
}
