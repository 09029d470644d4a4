package config_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/config"
)

// FuzzLoad: no file brings the reader down; what is taken keeps the rules that others rely on; what is refused says
// which file.
func FuzzLoad(f *testing.F) {
	names, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(names) == 0 {
		f.Fatal(err)
	}
	for _, name := range append(names, "testdata/whole.yaml") {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4<<10 {
			t.Skip("the parser's time grows with the square of the length")
		}
		file, err := config.Parse("g.yaml", "/", text)
		if err != nil {
			if !errors.As(err, new(*config.Error)) {
				t.Errorf("no place in %v", err)
			}
			return
		}
		at, err := netip.ParseAddrPort(file.Listen)
		if err != nil {
			t.Errorf("listen %q was taken: %v", file.Listen, err)
		}
		if !at.Addr().Unmap().IsLoopback() && len(file.TrustedProxies) == 0 {
			t.Errorf("listens on %s with nothing in front", file.Listen)
		}
		for _, section := range file.Modules {
			var m module
			_ = section.Decode(&m)
			var free struct {
				Free any `yaml:"free"`
			}
			_ = section.Decode(&free)
		}
	})
}
