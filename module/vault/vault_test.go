package vault_test

import (
	"testing"

	"gatehouse/module"
	"gatehouse/module/vault"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// open opens a vault on a source; its kit is closed with the test unless the test did so.
func open(t *testing.T, source store.Source, c vault.Config) (*vault.Module, error) {
	t.Helper()
	kit := module.Kit{Name: "vault", Source: source, Migrate: true, Data: source.Dir}.Ready()
	t.Cleanup(func() { _ = kit.Close() })
	return vault.New(t.Context(), kit, c)
}

func TestSealedTextsOpen(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		v, err := open(t, source, vault.Config{})
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := v.Seal(t.Context(), 7, "a", []byte("plain"))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := v.Open(t.Context(), 7, "a", sealed); err != nil || string(plain) != "plain" {
			t.Errorf("Open = %q, %v", plain, err)
		}
	})
}
