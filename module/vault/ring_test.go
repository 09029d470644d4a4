package vault_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"gatehouse/gate"
	"gatehouse/module/vault"
	"gatehouse/outcome"
	"gatehouse/store/storetest"
)

// A key that another process destroyed opens nothing here after a minute.
func TestKeyDestroyedElsewhereIsGoneWithinAMinute(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		here, there := open(t, source), open(t, source)
		sealed := seal(t, here, 1, "a", "plain")
		if err := there.Forget(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(vault.RingTime)
		if _, err := here.Open(t.Context(), 1, "a", sealed); !errors.Is(err, outcome.NotFound) {
			t.Errorf("Open: %v, want not_found", err)
		}
		if _, err := here.Seal(t.Context(), 1, "a", nil); !errors.Is(err, outcome.NotFound) {
			t.Errorf("Seal: %v, want not_found", err)
		}
	})
}

func TestKeysInMemoryAreBounded(t *testing.T) {
	t.Parallel()
	r := vault.NewRing()
	for person := range gate.PersonID(vault.RingSize + 100) {
		r.Put(person)
	}
	if n := r.Len(); n != vault.RingSize {
		t.Errorf("%d keys are held, want %d", n, vault.RingSize)
	}
}

// A key that was dropped while its row was being read must not come back.
func TestDroppedKeyDoesNotComeBack(t *testing.T) {
	t.Parallel()
	r := vault.NewRing()
	seen := r.Seen(1)
	r.Drop(1)
	r.PutSeen(1, seen)
	if r.Len() != 0 {
		t.Error("the ring holds a key that was dropped after its row was read")
	}
	r.Put(1)
	if r.Len() != 1 {
		t.Error("a key whose row was read afterwards is not held")
	}
}

// Two different places of a credential are never bound to the same bytes, nor are two persons' texts.
func TestBindingsDiffer(t *testing.T) {
	t.Parallel()
	name := rapid.StringMatching(`[1a:|]{1,3}`)
	differ := func(t interface{ Errorf(string, ...any) }, a, b, c, d string) {
		if (a != c || b != d) && vault.CredentialFor(a, b) == vault.CredentialFor(c, d) {
			t.Errorf("(%q, %q) and (%q, %q) are bound alike: %s", a, b, c, d, vault.CredentialFor(a, b))
		}
	}
	differ(t, "a|b", "c", "a", "b|c")
	rapid.Check(t, func(t *rapid.T) {
		differ(t, name.Draw(t, "a"), name.Draw(t, "b"), name.Draw(t, "c"), name.Draw(t, "d"))
		p, q := gate.PersonID(rapid.Int64().Draw(t, "p")), gate.PersonID(rapid.Int64().Draw(t, "q"))
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		if (p != q || a != b) && string(vault.Associated(p, a)) == string(vault.Associated(q, b)) {
			t.Errorf("(%d, %q) and (%d, %q) are bound alike", p, a, q, b)
		}
	})
}

func BenchmarkSeal1KB(b *testing.B) {
	v := open(b, storetest.SQLite(b))
	plain := make([]byte, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Seal(b.Context(), 1, "audit payload 1763871234567-3", plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen1KB(b *testing.B) {
	v := open(b, storetest.SQLite(b))
	sealed := seal(b, v, 1, "a", string(make([]byte, 1024)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Open(b.Context(), 1, "a", sealed); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpenCold is an Open whose key is not in memory.
func BenchmarkOpenCold(b *testing.B) {
	v := open(b, storetest.SQLite(b))
	sealed := seal(b, v, 1, "a", string(make([]byte, 1024)))
	b.ReportAllocs()
	for b.Loop() {
		v.DropHeld(1)
		if _, err := v.Open(b.Context(), 1, "a", sealed); err != nil {
			b.Fatal(err)
		}
	}
}
