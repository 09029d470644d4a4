package gate_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gatehouse/gate"
)

const keyName = "note/read-canary-7261"

func TestPromise_P3_AKeyIsNeverPrinted(t *testing.T) {
	t.Parallel()
	key := gate.NewKey(keyName)
	holder := struct {
		Key  gate.Key
		Keys map[string]gate.Key
	}{key, map[string]gate.Key{"a": key}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T"} {
		fmt.Fprintf(&out, verb, key)
		fmt.Fprintf(&out, verb, &key)
		fmt.Fprintf(&out, verb, holder)
	}
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("m", "key", key, "holder", holder)
	}
	for _, form := range []string{keyName, fmt.Sprintf("%x", keyName), fmt.Sprint([]byte(keyName))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the key was printed as %s", form)
		}
	}
}

func TestPromise_P3_AKeyIsNeverMarshalled(t *testing.T) {
	t.Parallel()
	key := gate.NewKey(keyName)
	for name, marshal := range map[string]func() ([]byte, error){
		"json": func() ([]byte, error) { return json.Marshal([]any{key, &key}) },
		"xml":  func() ([]byte, error) { return xml.Marshal(key) },
		"gob": func() ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(key)
			return b.Bytes(), err
		},
	} {
		if b, err := marshal(); err == nil || bytes.Contains(b, []byte(keyName)) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestKeyNumbers(t *testing.T) {
	t.Parallel()
	a := gate.NewKey("note/read").Number()
	// Stored grants hold this number: it must never change.
	if want := gate.KeyNumber(3624925936653346238); a != want {
		t.Errorf("number of note/read is %d, want %d", a, want)
	}
	seen := map[gate.KeyNumber]string{a: "note/read"}
	for _, k := range [][3]string{{"files", "read", "d1"}, {"files", "read", "d2"}, {"file", "sread", "d1"}, {"files", "rea", "d@d1"}} {
		n := gate.KeyFor(k[0], k[1], k[2]).Number()
		if n <= 0 {
			t.Errorf("%v has the number %d", k, n)
		}
		if other, ok := seen[n]; ok {
			t.Errorf("%v and %s have one number", k, other)
		}
		seen[n] = fmt.Sprint(k)
	}
}

func TestAKeyWithoutANamePanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	gate.NewKey("")
}
