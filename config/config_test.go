package config_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestBadFiles loads every file of testdata/bad; bad.golden holds what is said of each.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var got strings.Builder
	for _, name := range files {
		_, err := config.Load(name)
		if err == nil {
			t.Errorf("%s was taken", name)
			continue
		}
		if !strings.HasPrefix(err.Error(), name+":") {
			t.Errorf("%s: the error does not begin with the file: %v", name, err)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats a secret: %v", name, err)
		}
		got.WriteString(strings.TrimPrefix(err.Error(), "testdata/bad/") + "\n")
	}
	const golden = "testdata/bad.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")
	for i := range max(len(wantLines), len(gotLines)) {
		var w, g string
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if w != g {
			t.Errorf("line %d\n got %s\nwant %s", i+1, g, w)
		}
	}
}

func load(t *testing.T, text string) config.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := config.Load(name)
	if err != nil {
		t.Fatalf("Load: %v\n%s", err, text)
	}
	return f
}

func TestWholeFile(t *testing.T) {
	t.Parallel()
	f, err := config.Load("testdata/whole.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Modules) != 2 {
		t.Errorf("%d modules, want 2", len(f.Modules))
	}
	f.Modules = nil
	want := config.File{
		Listen:         "0.0.0.0:8443",
		TLS:            config.TLS{CertFile: filepath.Join(dir, "tls", "cert.pem"), KeyFile: "/etc/gatehouse/key.pem"},
		PublicURL:      "https://gate.example.org",
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("fd00::/8")},
		AllowedOrigins: []string{"https://app.example.org", "chrome-extension://abcdef"},
		AllowedHosts:   []string{"gate.internal", "10.0.0.5:8443", "[fd00::5]:8443"},
		Data:           filepath.Join(dir, "data"),
		Store:          config.Store{PostgresDSN: config.Secret{Env: "GATE_DSN"}, PostgresOwnerDSN: config.Secret{Env: "GATE_OWNER_DSN"}},
		Keys:           config.Keys{MasterFile: "/etc/gatehouse/master.json"},
		Tokens:         config.Tokens{DefaultTTL: 12 * time.Hour, MaxTTL: 36 * time.Hour, MaxPerPerson: 10},
		Limits:         config.Limits{Body: 1 << 20, CallsPerMinute: 60, InFlight: 8, Drain: 90 * time.Second},
		Audit:          config.Audit{Payload: 4096, KeepPayloads: 30 * 24 * time.Hour, HeadFile: filepath.Join(filepath.Dir(dir), "elsewhere", "head")},
		Metrics:        config.Metrics{Listen: "127.0.0.1:9464"},
		OTLP:           config.OTLP{Endpoint: "http://collector:4318/otlp", Private: true},
	}
	if f = f.Anywhere(); !reflect.DeepEqual(f, want) {
		t.Errorf("got  %+v\nwant %+v", f, want)
	}
	if got := f.MasterFile(); got != "/etc/gatehouse/master.json" {
		t.Errorf("MasterFile = %s", got)
	}
}

// TestNothingSaidIsDefault: no file, an empty file, comments only and fields without a value are the same.
func TestNothingSaidIsDefault(t *testing.T) {
	t.Parallel()
	want := config.Default("")
	if want.Listen != "127.0.0.1:8080" || want.Data != "./data" || want.MasterFile() != filepath.Join("data", "keys", "master.json") ||
		want.Tokens != (config.Tokens{DefaultTTL: 24 * time.Hour, MaxTTL: 90 * 24 * time.Hour, MaxPerPerson: 1000}) ||
		want.Limits != (config.Limits{Body: 4 << 20, CallsPerMinute: 600, InFlight: 64, Drain: 30 * time.Second}) ||
		want.Audit != (config.Audit{Payload: 16 << 10, KeepPayloads: 90 * 24 * time.Hour}) {
		t.Errorf("Default = %+v", want)
	}
	for _, text := range []string{
		"", "\n# nothing\n", "---\n", "\xef\xbb\xbf", "{}",
		"listen:\ntokens:\nstore: {postgres_dsn_env: , postgres_owner_dsn_env: }\nmodules: ~\nlimits: {body: , drain: ~}\n",
	} {
		if got := load(t, text).Anywhere(); !reflect.DeepEqual(got, want) {
			t.Errorf("%q gives %+v", text, got)
		}
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ listen, want string }{
		{"127.0.0.1:0", "127.0.0.1:0"},
		{"localhost:8080", "127.0.0.1:8080"},
		{"127.8.9.10:1", "127.8.9.10:1"},
		{"[::1]:8080", "[::1]:8080"},
		{"0.0.0.0:80", ""},
		{"[::]:80", ""},
		{"192.168.1.1:80", ""},
		{"localhost", ""},
		{"localhost.evil:80", ""},
		{"", ""},
	} {
		f := config.Default("d")
		err := f.SetListen(tt.listen)
		if tt.want == "" {
			if err == nil || f.Listen != "127.0.0.1:8080" {
				t.Errorf("SetListen(%q) = %v, and Listen is %s", tt.listen, err, f.Listen)
			}
		} else if err != nil || f.Listen != tt.want {
			t.Errorf("SetListen(%q) = %v, and Listen is %s, want %s", tt.listen, err, f.Listen, tt.want)
		}
	}
	f := load(t, "trusted_proxies: [10.0.0.1]\n")
	if err := f.SetListen("0.0.0.0:80"); err != nil {
		t.Errorf("behind a proxy: %v", err)
	}
	f = load(t, "tls: {cert_file: c.pem, key_file: k.pem}\n")
	if err := f.SetListen("0.0.0.0:80"); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
}

func TestDataFolder(t *testing.T) { // not parallel: the environment
	t.Setenv("GATEHOUSE_DATA", "")
	f := load(t, "data: kept\n")
	said := f.Data
	if !filepath.IsAbs(said) || filepath.Base(said) != "kept" {
		t.Errorf("data = %s, want it beside the file", said)
	}
	for _, tt := range []struct{ flag, env, want, bare string }{
		{"", "", said, "./data"},
		{"", "fromenv", "fromenv", "fromenv"},
		{"fromflag", "fromenv", "fromflag", "fromflag"},
		{"fromflag", "", "fromflag", "fromflag"},
	} {
		t.Setenv("GATEHOUSE_DATA", tt.env)
		f := f
		f.SetData(tt.flag)
		if f.Data != tt.want || f.MasterFile() != filepath.Join(tt.want, "keys", "master.json") {
			t.Errorf("flag %q, environment %q: data %s, key %s, want %s", tt.flag, tt.env, f.Data, f.MasterFile(), tt.want)
		}
		if got := config.DataDir(tt.flag); got != tt.bare {
			t.Errorf("DataDir(%q) with environment %q = %s, want %s", tt.flag, tt.env, got, tt.bare)
		}
	}
}

func TestChildEnvironmentIsSmall(t *testing.T) { // not parallel: the environment
	t.Setenv("PATH", "/bin")
	t.Setenv("LANG", "C")
	t.Setenv("CRM_DSN", "hunter2")
	if got := config.ChildEnvironment(); !reflect.DeepEqual(got, []string{"PATH=/bin", "LANG=C"}) {
		t.Errorf("ChildEnvironment = %q", got)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, []byte(strings.Repeat("#\n", 200_000)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{filepath.Join(dir, "none.yaml"), "no such file"},
		{dir, "is not a file"},
		{large, "larger than"},
	} {
		if _, err := config.Load(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Load(%s) = %v, want %q", tt.path, err, tt.want)
		}
	}
	if _, err := config.Parse("deep", dir, []byte("modules: {a: "+strings.Repeat("[", 100)+strings.Repeat("]", 100)+"}")); err == nil ||
		!strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("100 lists in one another: %v", err)
	}
}
