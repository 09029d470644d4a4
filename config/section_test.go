package config_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/secret"
)

// effect is a word of a module's own, checked where it stands.
type effect string

func (e *effect) UnmarshalText(text []byte) error {
	if s := string(text); s != "reads" && s != "writes" {
		return fmt.Errorf("%q is none of reads, writes", s)
	}
	*e = effect(text)
	return nil
}

type module struct {
	Name     string                `yaml:"name"`
	Path     string                `yaml:"path,path"`
	Paths    []string              `yaml:"paths,path"`
	DSN      secret.Ref            `yaml:"dsn_env"`
	Key      secret.Ref            `yaml:"key"`
	KeyFile  config.Secret         `yaml:"key_file"`
	Cred     config.Secret         `yaml:"key_credential"`
	From     map[string]secret.Ref `yaml:"env_from"`
	Env      map[string]string     `yaml:"env"`
	Args     map[effect][]int      `yaml:"args"`
	Effect   effect                `yaml:"effect"`
	Wait     time.Duration         `yaml:"wait"`
	Price    float64               `yaml:"price"`
	Small    int8                  `yaml:"small"`
	Count    uint16                `yaml:"count"`
	On       bool                  `yaml:"on"`
	Inner    *inner                `yaml:"inner"`
	Free     any                   `yaml:"free"`
	Plain    string
	Hidden   string                    `yaml:"-"`
	unshown  string                    //nolint:unused // a field that is not exported is passed over
	Sections map[string]config.Section `yaml:"sections"`
}

type inner struct {
	Deep []inner `yaml:"deep"`
	X    int     `yaml:"x"`
}

func section(t *testing.T, text string) config.Section {
	t.Helper()
	f, err := config.Parse("g.yaml", filepath.FromSlash("/etc/gate"), []byte("modules:\n  m:\n"+text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return f.Modules["m"]
}

func TestSectionDecodes(t *testing.T) {
	t.Parallel()
	var m module
	m.Wait, m.Small = time.Minute, 7 // defaults that the section leaves alone
	err := section(t, `    name: |
      two
      lines
    path: a/b
    paths: [../c, /d, ""]
    env: {LOG: info, "N": "5"}
    args: {reads: [1, -2]}
    effect: writes
    price: 1.5
    count: 65535
    on: true
    inner: {x: 1, deep: [{x: 2}, {deep: []}]}
    free: {a: [1, x, ~x, 1.5, true], b: {c: }}
    plain: yes
    key_file: k/x
    key_credential: name
`).Decode(&m)
	if err != nil {
		t.Fatal(err)
	}
	want := module{
		Name: "two\nlines\n", Path: filepath.FromSlash("/etc/gate/a/b"), Paths: []string{filepath.FromSlash("/etc/c"), "/d", ""},
		Env: map[string]string{"LOG": "info", "N": "5"}, Args: map[effect][]int{"reads": {1, -2}}, Effect: "writes",
		Wait: time.Minute, Price: 1.5, Small: 7, Count: 65535, On: true,
		Inner:   &inner{X: 1, Deep: []inner{{X: 2}, {Deep: []inner{}}}},
		Free:    map[string]any{"a": []any{int64(1), "x", "~x", 1.5, true}, "b": map[string]any{"c": nil}},
		Plain:   "yes",
		KeyFile: config.Secret{File: filepath.FromSlash("/etc/gate/k/x")}, Cred: config.Secret{Credential: "name"},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
}

func TestSectionErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"    nme: x\n", `g.yaml:3:5: unknown field "nme" (did you mean "name"?)`},
		{"    hidden: x\n", `g.yaml:3:5: unknown field "hidden"`},
		{"    \"-\": x\n", `g.yaml:3:5: unknown field "-"`},
		{"    unshown: x\n", `g.yaml:3:5: unknown field "unshown"`},
		{"    inner: {deep: [{y: 1}]}\n", `g.yaml:3:21: unknown field "y"`},
		{"    effect: destroys\n", `g.yaml:3:13: "destroys" is none of reads, writes`},
		{"    effect: [reads]\n", `g.yaml:3:13: expected one value, found a list`},
		{"    args: {deletes: [1]}\n", `g.yaml:3:12: "deletes" is none of reads, writes`},
		{"    args: {reads: [1, x]}\n", `g.yaml:3:23: expected a number, found text`},
		{"    on: yes\n", `g.yaml:3:9: expected true or false, found text`},
		{"    small: 128\n", `g.yaml:3:12: 128 is too large or too small`},
		{"    count: -1\n", `g.yaml:3:12: -1 is negative or too large`},
		{"    name: 5\n", `g.yaml:3:11: expected text: put 5 in quotes`},
		{"    name: {a: b}\n", `g.yaml:3:11: expected text, found fields`},
		{"    env: {PORT: 8080}\n", `g.yaml:3:17: expected text: put 8080 in quotes`},
		{"    price: .inf\n", `g.yaml:3:12: this kind of value is not taken`},
		{"    price: 1e999\n", `g.yaml:3:12: expected a number, found text`},
		{"    inner: {x: 1_0}\n", `g.yaml:3:16: 1_0 is not a whole number in its plain form`},
		{"    key: hunter2\n", `g.yaml:3:10: a secret is given by reference: {env: NAME}, {file: PATH} or {credential: NAME}`},
		{"    key: {value: hunter2}\n", `g.yaml:3:11: unknown field "value"`},
		{"    key: {env: hunter-2}\n", `g.yaml:3:10: this is not the name of an environment variable`},
		{"    key: {env: A, file: b}\n", `g.yaml:3:10: a secret has one reference: env, file or credential`},
		{"    key: {}\n", `g.yaml:3:10: a secret's reference is empty: write {env: NAME}, {file: PATH} or {credential: NAME}`},
		{"    key_credential: ../x\n", `g.yaml:3:21: this is not the name of a credential`},
		{"    dsn_env: \"postgres://hunter2\"\n", `g.yaml:3:14: this is not the name of an environment variable`},
		{"    env_from: {A: hunter2}\n", `g.yaml:3:19: a secret is given by reference: {env: NAME}, {file: PATH} or {credential: NAME}`},
		{"    env_from: {A: [hunter2]}\n", `g.yaml:3:19: a secret is given by reference: {env: NAME}, {file: PATH} or {credential: NAME}`},
	} {
		f, err := config.Parse("g.yaml", "/", []byte("modules:\n  m:\n"+tt.text))
		if err == nil {
			var m module
			err = f.Modules["m"].Decode(&m)
		}
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s got  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

func TestSectionThatIsNotThere(t *testing.T) {
	t.Parallel()
	m := module{Name: "default"}
	if err := (config.Section{}).Decode(&m); err != nil || m.Name != "default" {
		t.Errorf("a section left out: %v, %+v", err, m)
	}
	f, err := config.Parse("g.yaml", "/", []byte("modules:\n  m:\n  n: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range f.Modules {
		if err := s.Decode(&m); err != nil || m.Name != "default" {
			t.Errorf("empty section %s: %v, %+v", name, err, m)
		}
	}
	if err := f.Modules["m"].Decode(m); err == nil {
		t.Error("decoded into what is no pointer")
	}
}

func TestSectionPlaces(t *testing.T) {
	t.Parallel()
	f, err := config.Parse("g.yaml", "/", []byte("modules:\n  database: {a: 1}\n  gmial:\n  note: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	err = f.KnowModules("database", "gmail", "note")
	if want := `g.yaml:3:3: unknown module "gmial" (did you mean "gmail"?)`; err == nil || err.Error() != want {
		t.Errorf("KnowModules = %v, want %s", err, want)
	}
	if err := f.KnowModules("database", "gmial", "note"); err != nil {
		t.Errorf("KnowModules = %v", err)
	}
	cause := errors.New("no such table")
	wrapped := f.Modules["note"].Wrap(fmt.Errorf("opening: %w", cause))
	if want := "g.yaml:4:3: opening: no such table"; wrapped.Error() != want || !errors.Is(wrapped, cause) {
		t.Errorf("Wrap = %v, want %s", wrapped, want)
	}
	var at *config.Error
	if again := f.Modules["database"].Wrap(wrapped); !errors.As(again, &at) || at.Line != 4 {
		t.Errorf("Wrap twice = %v", again)
	}
	if f.Modules["note"].Wrap(nil) != nil {
		t.Error("Wrap(nil) is an error")
	}
}

func TestNestedSectionsStayRaw(t *testing.T) {
	t.Parallel()
	var m module
	if err := section(t, "    sections: {a: {x: 1}, b: {y: 2}}\n").Decode(&m); err != nil {
		t.Fatal(err)
	}
	var in inner
	if err := m.Sections["a"].Decode(&in); err != nil || in.X != 1 {
		t.Errorf("a: %v, %+v", err, in)
	}
	if err := m.Sections["b"].Decode(&in); err == nil || !strings.HasPrefix(err.Error(), `g.yaml:3:31: unknown field "y"`) {
		t.Errorf("b: %v", err)
	}
}

// place is a text that is a path only for one kind.
type place struct {
	Kind string `yaml:"kind"`
	At   string `yaml:"at"`
}

func (p *place) ResolvePaths(resolve func(string) string) {
	if p.Kind == "file" {
		p.At = resolve(p.At)
	}
}

// TestPathsThatAnotherFieldDecidesOf: a PathResolver is asked once all its fields are filled, wherever it stands.
func TestPathsThatAnotherFieldDecidesOf(t *testing.T) {
	t.Parallel()
	var got struct {
		One   place            `yaml:"one"`
		Far   *place           `yaml:"far"`
		List  []place          `yaml:"list"`
		Named map[string]place `yaml:"named"`
		None  *place           `yaml:"none"`
	}
	err := section(t, `    one: {at: a/b.db, kind: file}
    far: {kind: far, at: host/name}
    list: [{kind: file, at: /c.db}, {at: d.db}, {kind: file, at: ../e.db}]
    named: {x: {kind: file, at: f.db}}
`).Decode(&got)
	if err != nil {
		t.Fatal(err)
	}
	want := got
	want.One = place{"file", filepath.FromSlash("/etc/gate/a/b.db")}
	want.Far = &place{"far", "host/name"}
	want.List = []place{{"file", "/c.db"}, {"", "d.db"}, {"file", filepath.FromSlash("/etc/e.db")}}
	want.Named = map[string]place{"x": {"file", filepath.FromSlash("/etc/gate/f.db")}}
	want.None = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
