// Package config reads the YAML file, strictly and with line numbers, and is the only room that looks at the environment
// and at files of secrets. It must never read a secret's value before it is needed, and never print one.
//
// [Load] gives a [File]; each module's own part stays raw in a [Section] until the module's Config is known. Unknown and
// duplicate fields, anchors, tags, several documents and values of the wrong kind are refused: what the file says is what
// is meant, or nothing starts. Secrets stand in the file as references only, see [Secret]. An error says where:
//
//	gatehouse.yaml:12:3: unknown field "lisen" (did you mean "listen"?)
//
// The scanner and parser are goccy/go-yaml (YAML 1.2); the decoder is ours, because its own turns 1.9 into 1 and numbers
// into text. Nothing here keeps state; a File may be read from any goroutine once it is made.
package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// File is a whole configuration with its defaults filled in. Paths in it are as they can be opened: those that the file
// gives are relative to the file's folder.
type File struct {
	// Listen is the address of the HTTP server, as 127.0.0.1:8080. Port 0 lets the system choose.
	Listen string `yaml:"listen"`
	// PublicURL is where clients find the gateway, scheme and host; empty if only Listen is used.
	PublicURL string `yaml:"public_url"`
	// TLS is the certificate of Listen. Zero: plain HTTP, on loopback or behind a trusted proxy.
	TLS TLS `yaml:"tls"`
	// TrustedProxies are the peers whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// AllowedOrigins are browsers and extensions besides PublicURL.
	AllowedOrigins []string `yaml:"allowed_origins"`
	// AllowedHosts are names besides PublicURL's that the Host header may hold.
	AllowedHosts []string `yaml:"allowed_hosts"`
	// Data is the data folder.
	Data   string `yaml:"data,path"`
	Store  Store  `yaml:"store"`
	Keys   Keys   `yaml:"keys"`
	Tokens Tokens `yaml:"tokens"`
	Limits Limits `yaml:"limits"`
	Audit  Audit  `yaml:"audit"`
	// Metrics says where Prometheus may fetch figures, besides the operator's socket.
	Metrics Metrics `yaml:"metrics"`
	// OTLP says where spans of calls are sent.
	OTLP   OTLP   `yaml:"otlp"`
	Backup Backup `yaml:"backup"`
	// Policy are the rules on calls, in their order.
	Policy []Rule `yaml:"policy"`
	// Modules are the sections of the modules, by name. See [File.KnowModules].
	Modules map[string]Section `yaml:"modules"`

	path string // of the file; empty: there is none
}

// Metrics is an address of its own.
type Metrics struct {
	Listen string `yaml:"listen"` // as 127.0.0.1:9464; empty: none. Whoever reaches it reads the figures
}

// OTLP is a collector of OpenTelemetry.
type OTLP struct {
	Endpoint string `yaml:"endpoint"` // as http://127.0.0.1:4318; empty: nothing is sent
	Private  bool   `yaml:"private"`  // the endpoint's name may resolve to a private address
}

// Store says where the tables are. Both empty: SQLite in the data folder.
type Store struct {
	PostgresDSN      Secret `yaml:"postgres_dsn_env"`       // what serve runs with
	PostgresOwnerDSN Secret `yaml:"postgres_owner_dsn_env"` // what migrate runs with
}

// Keys says where the master key is.
type Keys struct {
	// MasterFile is the file of the master key. In the file it may be left out: [File.MasterFile] gives the default.
	MasterFile string `yaml:"master_file,path"`
}

// Tokens bounds what may be issued.
type Tokens struct {
	DefaultTTL   time.Duration `yaml:"default_ttl"`
	MaxTTL       time.Duration `yaml:"max_ttl"`
	MaxPerPerson int           `yaml:"max_per_person"`
}

// Limits bounds what callers may use up.
type Limits struct {
	Body           Size          `yaml:"body"`             // the most bytes of a request's body
	CallsPerMinute int           `yaml:"calls_per_minute"` // of one token
	InFlight       int           `yaml:"in_flight"`        // calls of one token at a time
	Drain          time.Duration `yaml:"drain"`            // how long running calls may take after a stop was asked for
	// BudgetPerDay is what calls for one person may cost on one day, UTC; 0: not limited.
	BudgetPerDay Money `yaml:"budget_per_person_per_day"`
}

// Audit says what the log keeps.
type Audit struct {
	Payload Size `yaml:"payload"` // the most bytes kept of one call's input, and as many of its output
	// KeepPayloads is how long inputs, outputs and reasons are kept; the rows themselves stay.
	KeepPayloads time.Duration `yaml:"keep_payloads"`
	HeadFile     string        `yaml:"head_file,path"` // a second place for the signed head; empty: none
}

// Backup says for whom backups are made.
type Backup struct {
	// Recipients are public keys of age (age1…); whoever has one of the secret keys can open a backup.
	Recipients []string `yaml:"recipients"`
	// Folder is where backups go that a person asks for. Empty: only the operator makes backups.
	Folder string `yaml:"folder,path"`
}

// Default is the configuration without a file: safe on one machine. An empty data is ./data.
func Default(data string) File {
	return File{
		Listen: "127.0.0.1:8080",
		Data:   cmp.Or(data, defaultData),
		Tokens: Tokens{DefaultTTL: 24 * time.Hour, MaxTTL: 90 * day, MaxPerPerson: 1000},
		Limits: Limits{Body: 4 << 20, CallsPerMinute: 600, InFlight: 64, Drain: 30 * time.Second},
		Audit:  Audit{Payload: 16 << 10, KeepPayloads: 90 * day},
	}
}

// maxFile bounds the file in bytes: the parser's time grows with the square of its length.
const maxFile = 256 << 10

// Load reads a configuration file. Fields that it leaves out have their defaults; a data folder that is left out is
// ./data beside the working folder, as for commands that read no file.
func Load(path string) (File, error) {
	text, err := readBounded(path)
	if err != nil {
		return File{}, fmt.Errorf("reading the configuration: %w", err)
	}
	return Read(path, text)
}

// Read is Load on a text that is not written yet: path is the file that it will be.
func Read(path string, text []byte) (File, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return File{}, fmt.Errorf("finding the folder of %s: %w", path, err)
	}
	return parse(source{name: path, dir: dir}, text)
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return os.ReadFile(path)
}

func parse(src source, text []byte) (File, error) {
	root, err := src.parse(text)
	if err != nil {
		return File{}, err
	}
	f := Default("")
	f.path = src.name
	if err := src.decode(&f, root); err != nil {
		return File{}, err
	}
	if path, err := f.check(); err != nil {
		return File{}, src.fault(find(root, path), "%w", err)
	}
	return f, nil
}

// MasterFile gives the file of the master key: what the configuration says, else keys/master.json in the data folder.
func (f *File) MasterFile() string {
	return cmp.Or(f.Keys.MasterFile, filepath.Join(f.Data, "keys", "master.json"))
}

// Private lists what no program that Gatehouse starts may reach: the data folder, the keys and the file itself.
func (f *File) Private() []string {
	return slices.DeleteFunc([]string{f.Data, f.MasterFile(), f.Audit.HeadFile, f.TLS.KeyFile, f.path}, func(path string) bool { return path == "" })
}

// SetData lets the flag --data, else GATEHOUSE_DATA, win over what the file says; with neither it changes nothing.
func (f *File) SetData(flag string) {
	f.Data = cmp.Or(flag, os.Getenv(dataVariable), f.Data)
}

// SetListen lets the flag --listen win over what the file says. The address must fit the rest of the file.
func (f *File) SetListen(flag string) error {
	old := f.Listen
	f.Listen = flag
	if err := f.checkListen(); err != nil {
		f.Listen = old
		return err
	}
	return nil
}
