package audit_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gatehouse/module/audit"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// flipsVariable says how many places are flipped; without it, 300, or 2,000 under make soak.
const flipsVariable = "GATEHOUSE_TEST_FLIPS"

// TestFlippedBytesAreFound is T28: a byte at a random place of the file is flipped. Verify names what is wrong, or cannot
// read the file and says so, or all that the log holds equals the original.
func TestFlippedBytesAreFound(t *testing.T) {
	t.Parallel()
	flips := 300
	if testing.Short() {
		flips = 50
	}
	if os.Getenv("GATEHOUSE_SOAK") == "1" {
		flips = 2000
	}
	if n, err := strconv.Atoi(os.Getenv(flipsVariable)); err == nil {
		flips = n
	}
	l := newLog(t, storetest.SQLite(t))
	fill(l, 100)
	l.close()
	original := []byte(readFile(t, filepath.Join(l.source.Dir, "audit.db")))
	want := contents(t, l.source)
	public, err := audit.ReadPublicKey(l.config.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	named, unreadable, equal := 0, 0, 0
	for range flips {
		at, mask := rand.IntN(len(original)), byte(1+rand.IntN(255))
		source := store.Source{Dir: t.TempDir()}
		changed := append([]byte{}, original...)
		changed[at] ^= mask
		if err := os.WriteFile(filepath.Join(source.Dir, "audit.db"), changed, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := audit.Verify(t.Context(), audit.VerifyOptions{Source: source, Sealer: l.sealer, PublicKey: public})
		switch {
		case err != nil:
			unreadable++
		case !report.OK:
			named++
		default:
			equal++
			if got := contents(t, source); got != want {
				t.Errorf("byte %d was flipped by %#x, and nobody noticed", at, mask)
			}
		}
	}
	t.Logf("%d flips: %d faults, %d unreadable files, %d without effect", flips, named, unreadable, equal)
	if named == 0 {
		t.Error("no flip was found")
	}
}

// contents is all that a log holds, as text.
func contents(t *testing.T, source store.Source) string {
	t.Helper()
	var b strings.Builder
	db := reader(t, source)
	for _, text := range []string{
		`SELECT id || '-' || seq || ' ' || n || ' ' || person || agent || tool || outcome || body || hex(hash) FROM log ORDER BY id, seq`,
		`SELECT body FROM log WHERE person = 1700000000001 ORDER BY id, seq`, // by the index
		`SELECT id || '-' || seq || ' ' || hex(sealed) FROM payload ORDER BY id, seq`,
		`SELECT token || ' ' || calls || ' ' || uses || ' ' || last_ms || last_address || ' ' || cost FROM token_use ORDER BY token`,
		`SELECT day || ' ' || person || agent || tool || ' ' || calls || ' ' || cost || ' ' || bytes_in || ' ' || bytes_out || ' ' || took_us FROM day_sum ORDER BY day, person, agent, tool`,
		`SELECT n || last_id || '-' || last_seq || hex(hash) || signed FROM head`,
		`SELECT id || '-' || seq || body FROM intent`,
	} {
		err := db.All(t.Context(), func(scan func(...any) error) error {
			var line string
			err := scan(&line)
			b.WriteString(line + "\n")
			return err
		}, text)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", text, err)
		}
	}
	return b.String()
}
