package backup_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"pgregory.net/rapid"

	"gatehouse/backup"
	"gatehouse/outcome"
	"gatehouse/secret"
)

// keys is a key pair.
type keys struct {
	recipient string
	lock      backup.Lock
	opener    backup.Opener
}

func newKeys(t testing.TB) (k keys) {
	t.Helper()
	file, recipient, err := backup.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	k.recipient = recipient
	if k.lock, err = backup.NewLock([]string{recipient}, secret.Text{}); err != nil {
		t.Fatal(err)
	}
	if k.opener, err = backup.NewOpener(file, secret.Text{}); err != nil {
		t.Fatal(err)
	}
	return k
}

func manifest() backup.Manifest {
	return backup.Manifest{
		Gatehouse: "test", Engine: "sqlite", Made: time.UnixMilli(1763871234567).UTC(),
		Head: backup.Head{Rows: 3, Last: "1763871234567-3", Hash: strings.Repeat("ab", 32)},
	}
}

var contents = map[string]string{"audit.db": strings.Repeat("canary of the log ", 9000), "people.db": "canary of people", "keys/audit.pub": "public"}

// written is an archive of contents.
func written(t testing.TB, l backup.Lock) string {
	t.Helper()
	dir := t.TempDir()
	var parts []backup.Part
	for _, name := range []string{"audit.db", "people.db", "keys/audit.pub"} {
		path := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(path, []byte(contents[name]), 0o600); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, backup.Part{Name: name, Path: path})
	}
	to := filepath.Join(t.TempDir(), "b.age")
	w, err := backup.Write(t.Context(), to, l, manifest(), parts)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(to)
	sum := sha256.Sum256(text)
	if err != nil || w.Bytes != int64(len(text)) || w.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%d bytes, %s: %v", w.Bytes, w.SHA256, err)
	}
	return to
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	archive := written(t, k.lock)
	if info, err := os.Stat(archive); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(archive)); err != nil || len(entries) != 1 {
		t.Errorf("beside the archive lie %v (%v)", entries, err)
	}
	text, err := os.ReadFile(archive)
	if err != nil || bytes.Contains(text, []byte("canary")) || bytes.Contains(text, []byte("manifest")) || bytes.Contains(text, []byte("sqlite")) {
		t.Errorf("the archive tells something (%v)", err)
	}
	into := t.TempDir()
	m, err := backup.Unpack(t.Context(), archive, k.opener, into)
	if err != nil {
		t.Fatal(err)
	}
	if m.Head != manifest().Head || !m.Made.Equal(manifest().Made) || !m.Has("audit.db") || m.Has("vault.db") {
		t.Errorf("%+v", m)
	}
	for name, want := range contents {
		got, err := os.ReadFile(filepath.Join(into, filepath.FromSlash(name)))
		if err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := backup.Unpack(t.Context(), archive, newKeys(t).opener, t.TempDir()); !errors.Is(err, outcome.Invalid) {
		t.Errorf("with another key: %v", err)
	}
	if _, err := backup.Write(t.Context(), archive, k.lock, manifest(), nil); !errors.Is(err, outcome.Conflict) {
		t.Errorf("over another: %v", err)
	}
	if _, err := backup.Write(t.Context(), archive+"2", backup.Lock{}, manifest(), nil); err == nil {
		t.Error("an archive for nobody was written")
	}
	if _, err := os.Stat(archive + "2"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestEveryChangedByteIsFound flips one, cuts the tail off, or adds one, at random places.
func TestEveryChangedByteIsFound(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	text, err := os.ReadFile(written(t, k.lock))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	try := func(name string, changed []byte) {
		t.Helper()
		file := filepath.Join(dir, "changed.age")
		if err := os.WriteFile(file, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		into, err := os.MkdirTemp(dir, "into")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := backup.Unpack(t.Context(), file, k.opener, into); !errors.Is(err, outcome.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.RemoveAll(into); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 {
		at := rand.IntN(len(text))
		if i < 200 {
			at = i * len(text) / 200 // everywhere, the header and the last chunk too
		}
		changed := bytes.Clone(text)
		changed[at] ^= 1 << rand.IntN(8)
		try(fmt.Sprintf("byte %d of %d", at, len(text)), changed)
		try(fmt.Sprintf("cut at %d of %d", at, len(text)), text[:at])
	}
	try("one byte more", append(bytes.Clone(text), 0))
	try("twice", append(bytes.Clone(text), text...))
}

// sealed is an archive with whatever a stranger puts into it: age says nothing of who wrote it.
func sealed(t testing.TB, k keys, plain []byte) string {
	t.Helper()
	r, err := age.ParseX25519Recipient(k.recipient)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, r)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "s.age")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

type entry struct {
	header tar.Header
	text   string
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.header.Size, e.header.Mode = int64(len(e.text)), 0o600
		if e.header.Typeflag == tar.TypeSymlink {
			e.header.Size = 0
		}
		if err := w.WriteHeader(&e.header); err != nil {
			t.Fatal(err)
		}
		if e.header.Size > 0 {
			if _, err := w.Write([]byte(e.text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name, text string) entry { return entry{tar.Header{Name: name, Typeflag: tar.TypeReg}, text} }

// naming is a manifest that names one file of the text x.
func naming(change ...string) string {
	sum := sha256.Sum256([]byte("x"))
	text := fmt.Sprintf(`{"engine":"sqlite","files":[{"name":"people.db","sha256":"%x","size":1}],"format":1,"gatehouse":"x",`+
		`"head":{"hash":"%s","last":"","rows":0},"made":"2026-11-23T22:00:00Z"}`, sum, strings.Repeat("0", 64))
	return strings.NewReplacer(change...).Replace(text)
}

func TestForeignArchivesAreRefused(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	good := file("people.db", "x")
	for name, plain := range map[string][]byte{
		"nothing":               nil,
		"no tar file":           []byte("hello"),
		"no manifest":           tarOf(t, good),
		"a manifest alone":      tarOf(t, file("manifest.json", naming())),
		"a newer format":        tarOf(t, file("manifest.json", naming(`"format":1`, `"format":2`)), good),
		"an unknown member":     tarOf(t, file("manifest.json", naming(`"format"`, `"extra":1,"format"`)), good),
		"not JSON":              tarOf(t, file("manifest.json", "{"), good),
		"a member twice":        tarOf(t, file("manifest.json", naming(`"format":1`, `"format":1,"format":1`)), good),
		"another file":          tarOf(t, file("manifest.json", naming()), file("tokens.db", "x")),
		"another content":       tarOf(t, file("manifest.json", naming()), file("people.db", "y")),
		"another size":          tarOf(t, file("manifest.json", naming()), file("people.db", "xx")),
		"one file more":         tarOf(t, file("manifest.json", naming()), good, file("tokens.db", "x")),
		"a link":                tarOf(t, file("manifest.json", naming()), entry{tar.Header{Name: "people.db", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""}),
		"a path out":            tarOf(t, file("manifest.json", naming("people.db", "../people.db")), file("../people.db", "x")),
		"a path from the root":  tarOf(t, file("manifest.json", naming("people.db", "/people.db")), file("/people.db", "x")),
		"a file of no meaning":  tarOf(t, file("manifest.json", naming("people.db", "operator.key")), file("operator.key", "x")),
		"larger than the whole": tarOf(t, file("manifest.json", naming(`"size":1`, `"size":9000000000000`)), good),
		"less than nothing":     tarOf(t, file("manifest.json", naming(`"size":1`, `"size":-1`)), good),
		"behind the end":        append(tarOf(t, file("manifest.json", naming()), good), 'x'),
		"without an end":        tarOf(t, file("manifest.json", naming()), good)[:2560],
	} {
		into := t.TempDir()
		_, err := backup.Unpack(t.Context(), sealed(t, k, plain), k.opener, into)
		if name == "without an end" && err == nil {
			continue // tar takes the end of the file for one, and age has vouched for it
		}
		if !errors.Is(err, outcome.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := backup.Unpack(t.Context(), sealed(t, k, tarOf(t, file("manifest.json", naming()), good)), k.opener, t.TempDir()); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

// TestKeysAreNeverRepeated: what was given in the wrong place may be a secret.
func TestKeysAreNeverRepeated(t *testing.T) {
	t.Parallel()
	text, recipient, err := backup.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	key := strings.Fields(text.Reveal())[len(strings.Fields(text.Reveal()))-1]
	for name, err := range map[string]error{
		"a secret key as a recipient": second(backup.NewLock([]string{key}, secret.Text{})),
		"two in one":                  second(backup.NewLock([]string{recipient + "\n" + recipient}, secret.Text{})),
		"nobody":                      second(backup.NewLock(nil, secret.Text{})),
		"both":                        second(backup.NewLock([]string{recipient}, secret.New("correct horse battery"))),
		"a short passphrase":          second(backup.NewLock(nil, secret.New("short"))),
		"a recipient as an identity":  second(backup.NewOpener(secret.New(recipient), secret.Text{})),
		"a key cut short":             second(backup.NewOpener(secret.New(key[:40]), secret.Text{})),
		"neither":                     second(backup.NewOpener(secret.Text{}, secret.Text{})),
	} {
		if !errors.Is(err, outcome.Invalid) || strings.Contains(err.Error(), key[16:30]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// FuzzUnpack puts anything at all into an age file: nothing may be written outside the folder, nor more than was there.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{})
	f.Add(tarOf(f, file("manifest.json", naming()), file("people.db", "x")))
	f.Add(tarOf(f, file("manifest.json", naming("people.db", "../../people.db")), file("../../people.db", "x")))
	f.Add(tarOf(f, file("manifest.json", naming(`"size":1`, `"size":9000000000000`)), file("people.db", "x")))
	k := newKeys(f)
	f.Fuzz(func(t *testing.T, plain []byte) {
		outer := t.TempDir()
		into := filepath.Join(outer, "in")
		if err := os.Mkdir(into, 0o700); err != nil {
			t.Fatal(err)
		}
		m, err := backup.Unpack(t.Context(), sealed(t, k, plain), k.opener, into)
		var size int64
		files := 0
		walking := filepath.WalkDir(outer, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if !strings.HasPrefix(path, into) || !info.Mode().IsRegular() {
				t.Errorf("%s was written", path)
			}
			size += info.Size()
			files++
			return nil
		})
		if walking != nil {
			t.Fatal(walking)
		}
		if size > int64(len(plain)) || err == nil && files != len(m.Files) {
			t.Errorf("%d bytes in %d files out of %d", size, files, len(plain))
		}
	})
}

// TestAnyFilesComeBack writes files of any size and reads them.
func TestAnyFilesComeBack(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		var parts []backup.Part
		want := map[string]string{}
		for i := range rapid.IntRange(1, 4).Draw(rt, "files") {
			name := fmt.Sprintf("f%d.db", i)
			want[name] = strings.Repeat(rapid.StringN(0, 20, 40).Draw(rt, "text"), rapid.SampledFrom([]int{0, 1, 511, 4096}).Draw(rt, "times"))
			parts = append(parts, backup.Part{Name: name, Path: filepath.Join(dir, name)})
			if err := os.WriteFile(filepath.Join(dir, name), []byte(want[name]), 0o600); err != nil {
				rt.Fatal(err)
			}
		}
		to, into := filepath.Join(dir, "x.age"), filepath.Join(dir, "into")
		if _, err := backup.Write(t.Context(), to, k.lock, manifest(), parts); err != nil {
			rt.Fatal(err)
		}
		if err := os.Mkdir(into, 0o700); err != nil {
			rt.Fatal(err)
		}
		if _, err := backup.Unpack(t.Context(), to, k.opener, into); err != nil {
			rt.Fatal(err)
		}
		for name, text := range want {
			if got, err := os.ReadFile(filepath.Join(into, name)); err != nil || string(got) != text {
				rt.Errorf("%s: %d bytes of %d, %v", name, len(got), len(text), err)
			}
		}
	})
}
