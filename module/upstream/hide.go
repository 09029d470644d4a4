package upstream

import (
	"encoding/base64"
	"fmt"
	"strings"

	"gatehouse/canon"
)

// hide takes the secrets of the program's environment out of a text.
func (s *server) hide(text string) string {
	s.mu.Lock()
	hidden := s.hidden
	s.mu.Unlock()
	return without(text, hidden)
}

// hush takes all configured values of the program's environment out of a text.
func (s *server) hush(text string) string {
	s.mu.Lock()
	hidden, quiet := s.hidden, s.quiet
	s.mu.Unlock()
	return without(without(text, hidden), quiet)
}

func without(text string, values []string) string {
	for _, value := range values {
		text = strings.ReplaceAll(text, value, "[secret]")
	}
	return text
}

// worthHiding gives a value, and each of its lines, if they are long enough to be told from other text.
func worthHiding(value string, least int) []string {
	var all []string
	if len(value) >= least {
		all = append(all, value)
	}
	for line := range strings.Lines(value) {
		if line = strings.TrimRight(line, "\r\n"); len(line) >= 8 && line != value {
			all = append(all, line)
		}
	}
	return all
}

// credentials gives what must not be seen of a header's value: all of it, what follows the scheme (Bearer, Basic), and of
// Basic what it stands for. The longest come first, so that none is cut by another.
func credentials(value string) []string {
	all := worthHiding(value, 1)
	scheme, rest, ok := strings.Cut(value, " ")
	if rest = strings.TrimSpace(rest); !ok || len(rest) < 4 {
		return all
	}
	all = append(all, rest)
	if !strings.EqualFold(scheme, "basic") {
		return all
	}
	if plain, err := base64.StdEncoding.DecodeString(rest); err == nil {
		all = append(all, string(plain))
		if _, password, ok := strings.Cut(string(plain), ":"); ok && len(password) >= 4 {
			all = append(all, password)
		}
	}
	return all
}

// conceal takes the program's own secrets out of what it says: an agent must not see them (P9).
func (s *server) conceal(v canon.Value) (canon.Value, error) {
	s.mu.Lock()
	none := len(s.hidden) == 0
	s.mu.Unlock()
	if none {
		return v, nil
	}
	for _, name := range v.Names {
		if s.hide(name) != name {
			return canon.Value{}, fmt.Errorf("%w: it holds a secret as the name of a member", errUnreadable)
		}
	}
	return v.ReplaceStrings(func(_, text string) string { return s.hide(text) }), nil
}

// withoutSecrets leaves out each tool whose definition holds a secret of the program's environment: it would stand in
// every list and in the table (P9). A definition with the secret cut out would be another than the server's.
func (s *server) withoutSecrets(definitions []definition, out []left) (clean []definition, _ []left) {
	for _, d := range definitions {
		if v, err := s.conceal(d.value); err != nil || v != d.value {
			out = append(out, left{tidy(s.hide(d.remote)), "its definition holds a secret of its environment"})
			continue
		}
		clean = append(clean, d)
	}
	return clean, out
}
