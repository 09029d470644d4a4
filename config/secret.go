package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"gatehouse/secret"
)

// Secret is a reference to a secret: exactly one of its fields is set, or none. In YAML it is {env: NAME}, {file: PATH}
// or {credential: NAME}; a field whose name ends in _env, _file or _credential takes just the name or path.
type Secret struct {
	Env        string // an environment variable
	File       string // a file of ours with mode 0600 or 0400
	Credential string // a file in systemd's $CREDENTIALS_DIRECTORY, see LoadCredential= in systemd.exec(5)
}

// IsZero reports whether it refers to nothing.
func (s Secret) IsZero() bool { return s == Secret{} }

// String tells where the value comes from.
func (s Secret) String() string {
	switch {
	case s.Env != "":
		return "environment variable " + s.Env
	case s.File != "":
		return "file " + s.File
	case s.Credential != "":
		return "systemd credential " + s.Credential
	}
	return "nothing"
}

// Ref gives the reference in the form that modules hold.
func (s Secret) Ref() secret.Ref {
	if s.IsZero() {
		return secret.Ref{}
	}
	return secret.NewRef(s.String(), s.Read)
}

// Read reads the value now. One line end at its end is cut off. An empty value is an error, and so is a file that
// others may read. The error names the reference, never the value.
func (s Secret) Read() (secret.Text, error) {
	value, err := s.read()
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading the secret from %s: %w", s, err)
	}
	value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	if value == "" {
		return secret.Text{}, fmt.Errorf("reading the secret from %s: it is empty", s)
	}
	return secret.New(value), nil
}

func (s Secret) read() (string, error) {
	switch {
	case s.Env != "":
		value, ok := os.LookupEnv(s.Env)
		if !ok {
			return "", errors.New("it is not set")
		}
		return value, nil
	case s.File != "":
		return readPrivate(s.File, 0o177)
	case s.Credential != "":
		dir, ok := os.LookupEnv("CREDENTIALS_DIRECTORY")
		if !ok || !filepath.IsAbs(dir) {
			return "", errors.New("systemd gave no credentials: CREDENTIALS_DIRECTORY is not set")
		}
		if !isCredential(s.Credential) {
			return "", errors.New("it is not a name")
		}
		// systemd gives a user of its own the right to read by an access list, which shows as the group's right.
		return readPrivate(filepath.Join(dir, s.Credential), 0o137)
	}
	return "", secret.ErrNoReference
}

// maxSecret bounds a file of a secret in bytes.
const maxSecret = 64 << 10

// readPrivate reads a file that has none of the forbidden permission bits.
func readPrivate(path string, forbidden os.FileMode) (string, error) {
	f, err := openPrivate(path)
	if err != nil {
		var at *os.PathError
		if errors.As(err, &at) {
			err = at.Err // the reference names the path already
		}
		return "", err
	}
	defer func() { _ = f.Close() }()
	if err := checkPrivate(f, forbidden); err != nil {
		return "", err
	}
	value, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(value) > maxSecret {
		err = fmt.Errorf("it is larger than %d bytes", maxSecret)
	}
	return string(value), err
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func isCredential(name string) bool {
	return name != "." && name != ".." && !strings.ContainsAny(name, "/\\\x00") && len(name) <= 255
}

// secret decodes a reference. No error of it repeats what was written: it may be the secret itself, in the wrong place.
func (f field) secret(n ast.Node) (Secret, error) {
	var s Secret
	if _, ok := n.(*ast.MappingNode); ok {
		var form struct {
			Env        string `yaml:"env"`
			File       string `yaml:"file,path"`
			Credential string `yaml:"credential"`
		}
		if err := f.decode(&form, n); err != nil {
			return Secret{}, err
		}
		s = Secret(form)
	} else {
		text, ok := n.(*ast.StringNode)
		switch {
		case ok && strings.HasSuffix(f.name, "_env"):
			s.Env = text.Value
		case ok && strings.HasSuffix(f.name, "_file"):
			s.File = f.resolve(text.Value)
		case ok && strings.HasSuffix(f.name, "_credential"):
			s.Credential = text.Value
		default:
			return Secret{}, f.fault(n, "a secret is given by reference: {env: NAME}, {file: PATH} or {credential: NAME}")
		}
	}
	return s, f.checkSecret(n, s)
}

func (f field) checkSecret(n ast.Node, s Secret) error {
	given := 0
	for _, part := range []string{s.Env, s.File, s.Credential} {
		if part != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return f.fault(n, "a secret's reference is empty: write {env: NAME}, {file: PATH} or {credential: NAME}")
	case given > 1:
		return f.fault(n, "a secret has one reference: env, file or credential")
	case s.Env != "" && !variable.MatchString(s.Env):
		return f.fault(n, "this is not the name of an environment variable")
	case s.Credential != "" && !isCredential(s.Credential):
		return f.fault(n, "this is not the name of a credential")
	}
	return nil
}
