package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/secret"
)

func TestSecretFromEnvironment(t *testing.T) { // not parallel: the environment
	for _, tt := range []struct{ value, want string }{
		{"hunter2", "hunter2"}, {"hunter2\n", "hunter2"}, {"hunter2\r\n", "hunter2"}, {"a\n\n", "a\n"}, {" a ", " a "}, {"", ""}, {"\n", ""},
	} {
		t.Setenv("GATE_TEST_SECRET", tt.value)
		got, err := config.Secret{Env: "GATE_TEST_SECRET"}.Read()
		if got.Reveal() != tt.want || (err == nil) == (tt.want == "") {
			t.Errorf("%q was read as %q, %v", tt.value, got.Reveal(), err)
		}
	}
	_, err := config.Secret{Env: "GATE_TEST_NOT_SET"}.Read()
	if want := "reading the secret from environment variable GATE_TEST_NOT_SET: it is not set"; err == nil || err.Error() != want {
		t.Errorf("not set: %v, want %s", err, want)
	}
}

func TestSecretIsReadWhenNeeded(t *testing.T) { // not parallel: the environment
	f, err := config.Parse("g.yaml", "/", []byte("store: {postgres_dsn_env: GATE_TEST_LATE}\nmodules: {m: {key: {env: GATE_TEST_LATE}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Key secret.Ref `yaml:"key"`
	}
	if err := f.Modules["m"].Decode(&m); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GATE_TEST_LATE", "hunter2")
	for name, read := range map[string]func() (secret.Text, error){"Secret": f.Store.PostgresDSN.Read, "Ref": m.Key.Resolve} {
		if got, err := read(); err != nil || got.Reveal() != "hunter2" {
			t.Errorf("%s: %q, %v", name, got.Reveal(), err)
		}
	}
	if got := m.Key.String(); got != "environment variable GATE_TEST_LATE" {
		t.Errorf("the reference is printed as %s", got)
	}
}

func TestSecretFromFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(write("target", "hunter2", 0o600), link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want, fault string }{
		{write("usual", "hunter2\n", 0o600), "hunter2", ""},
		{write("readonly", "hunter2", 0o400), "hunter2", ""},
		{write("group", "hunter2", 0o640), "", "its mode 0640 lets others in"},
		{write("world", "hunter2", 0o604), "", "its mode 0604 lets others in"},
		{write("program", "hunter2", 0o700), "", "its mode 0700"},
		{write("empty", "\n", 0o600), "", "it is empty"},
		{write("large", strings.Repeat("x", 64<<10+1), 0o600), "", "it is larger than 65536 bytes"},
		{link, "", "it is a link"},
		{dir, "", "it is not a plain file"},
		{filepath.Join(dir, "none"), "", "no such file"},
	} {
		got, err := config.Secret{File: tt.path}.Read()
		if tt.fault == "" {
			if err != nil || got.Reveal() != tt.want {
				t.Errorf("%s: %q, %v", tt.path, got.Reveal(), err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.fault) || !strings.Contains(err.Error(), tt.path) {
			t.Errorf("%s: %v, want %q", tt.path, err, tt.fault)
		} else if strings.Contains(err.Error(), "hunter2") || !got.IsZero() {
			t.Errorf("%s: the value came along: %v", tt.path, err)
		}
	}
}

func TestSecretOfAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "given")
	if err := os.WriteFile(path, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if got, err := (config.Secret{File: path}).Read(); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("read as %q, %v", got.Reveal(), err)
	}
}

func TestSecretFromCredential(t *testing.T) { // not parallel: the environment
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"dsn": 0o440, "open": 0o444} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("hunter2"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (config.Secret{Credential: "dsn"}).Read(); err == nil || !strings.Contains(err.Error(), "CREDENTIALS_DIRECTORY") {
		t.Errorf("without systemd: %v", err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if got, err := (config.Secret{Credential: "dsn"}).Read(); err != nil || got.Reveal() != "hunter2" {
		t.Errorf("dsn: %q, %v", got.Reveal(), err)
	}
	for _, name := range []string{"open", "none", "../" + filepath.Base(dir) + "/dsn"} {
		if got, err := (config.Secret{Credential: name}).Read(); err == nil {
			t.Errorf("%s was read as %q", name, got.Reveal())
		}
	}
	if _, err := (config.Secret{}).Read(); !errors.Is(err, secret.ErrNoReference) {
		t.Errorf("no reference: %v", err)
	}
	if !(config.Secret{}).Ref().IsZero() {
		t.Error("no reference gives a Ref that refers to something")
	}
}
