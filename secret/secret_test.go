package secret_test

import (
	"bytes"
	"encoding"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"gatehouse/secret"
)

const value = "hunter2-correct-horse"

func TestTextIsNeverPrinted(t *testing.T) {
	t.Parallel()
	text := secret.New(value)
	holder := struct {
		Name   string
		Secret secret.Text
		List   []secret.Text
		Map    map[string]secret.Text
	}{"x", text, []secret.Text{text}, map[string]secret.Text{"k": text}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08b", "%p", "%T", "%c", "%U"} {
		fmt.Fprintf(&out, verb, text)
		fmt.Fprintf(&out, verb, &text)
		fmt.Fprintf(&out, verb, holder)
		fmt.Fprintf(&out, verb, &holder)
	}
	fmt.Fprint(&out, text, errors.New(fmt.Sprint(text)))
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("m", "secret", text, "holder", holder)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "secret", text, "holder", holder)
	for _, form := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), fmt.Sprint([]byte(value))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the value was printed as %s", form)
		}
	}
}

func TestTextIsNeverMarshalled(t *testing.T) {
	t.Parallel()
	text := secret.New(value)
	var _ encoding.TextMarshaler = text
	for name, marshal := range map[string]func() ([]byte, error){
		"json":     func() ([]byte, error) { return json.Marshal(map[string]any{"a": text}) },
		"json key": func() ([]byte, error) { return json.Marshal([]any{&text}) },
		"xml":      func() ([]byte, error) { return xml.Marshal(text) },
		"yaml":     func() ([]byte, error) { return yaml.Marshal(map[string]any{"a": text}) },
		"gob": func() ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(text)
			return b.Bytes(), err
		},
		"sql": func() ([]byte, error) {
			v, err := text.Value()
			return fmt.Append(nil, v), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := marshal()
			if err == nil {
				t.Errorf("no error, and %q", b)
			}
			if bytes.Contains(b, []byte(value)) {
				t.Errorf("marshalled as %q", b)
			}
		})
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b secret.Text
		want bool
	}{
		{secret.New("a"), secret.New("a"), true},
		{secret.New("a"), secret.New("b"), false},
		{secret.New("a"), secret.New("aa"), false},
		{secret.New(""), secret.Text{}, true},
	} {
		if got := tt.a.Equal(tt.b); got != tt.want {
			t.Errorf("Equal = %v, want %v", got, tt.want)
		}
	}
	if got := secret.New("x").Reveal(); got != "x" {
		t.Errorf("Reveal = %q", got)
	}
	if !(secret.Text{}).IsZero() || secret.New("x").IsZero() {
		t.Error("IsZero is wrong")
	}
}
