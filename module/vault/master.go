package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// maxMaster is how large a master file may be. One key is about 400 bytes.
const maxMaster = 64 << 10

// master is the key that wraps the data keys.
type master struct {
	file string
	aead tink.AEAD
	id   uint32 // of the primary key: a random number that stands in front of every ciphertext
}

// openMaster reads the master file. Only where the vault is new may it be made: a new key for an old vault opens nothing.
func openMaster(file string, first bool) (*master, error) {
	m, err := readMaster(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	if !first {
		return nil, fmt.Errorf("the master key file %s is missing, and this vault was made with one: put it back, from a backup or from the machine that made the vault "+
			"(a new one would open nothing)", file)
	}
	if err := makeMaster(file); err != nil {
		return nil, err
	}
	return readMaster(file)
}

// readMaster reads a master file that nobody else can read or write.
func readMaster(file string) (*master, error) {
	f, err := openPrivate(file)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxMaster+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("reading the master key file: %w", err)
	}
	defer clear(text)
	// The reader's own errors are left out: they can quote what it read, and that is a key.
	damaged := fmt.Errorf("the master key file %s is not a key file, or is damaged: restore it from a backup", file)
	if len(text) > maxMaster {
		return nil, damaged
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil {
		return nil, damaged
	}
	return newMaster(file, handle)
}

func newMaster(file string, handle *keyset.Handle) (*master, error) {
	unusable := fmt.Errorf("the master key file %s holds no key that can be used here: restore it from a backup", file)
	primary, err := handle.Primary()
	if err != nil {
		return nil, unusable
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, unusable
	}
	return &master{file: file, aead: primitive, id: primary.KeyID()}, nil
}

// makeMaster writes a new master key to a file that does not exist yet. The file is there whole and on the disk, or not at
// all: it is written beside its place first and then linked to it, which fails where another process was faster.
func makeMaster(file string) (err error) {
	doing := func(what string, err error) error { return fmt.Errorf("making the master key file: %s: %w", what, err) }
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return doing("a new key", err)
	}
	var text bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&text)); err != nil {
		return doing("writing the key", err)
	}
	defer clear(text.Bytes())
	folder := filepath.Dir(file)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return doing("its folder", err)
	}
	if err := privateFolder(folder); err != nil {
		return err
	}
	draft, err := os.CreateTemp(folder, ".master-*") // mode 0600
	if err != nil {
		return doing("a draft", err)
	}
	defer func() { err = errors.Join(err, os.Remove(draft.Name()), syncFolder(folder)) }()
	_, err = draft.Write(text.Bytes())
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return doing("a draft", err)
	}
	if err := os.Link(draft.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return doing("putting it in its place", err)
	}
	return nil
}

// The probe is a known text sealed under the master key. It is made with the vault and tells the right file from a wrong one.
var probeText, probeFor = []byte("gatehouse vault"), []byte("probe|1")

func (m *master) probe() ([]byte, error) {
	sealed, err := m.aead.Encrypt(probeText, probeFor)
	if err != nil {
		return nil, fmt.Errorf("sealing the probe: %w", err)
	}
	return sealed, nil
}

// check says what to do where the vault was made with another master key.
func (m *master) check(probe []byte) error {
	if plain, err := m.aead.Decrypt(probe, probeFor); err == nil && bytes.Equal(plain, probeText) {
		return nil
	}
	return fmt.Errorf("the master key file %s is not the one that this vault was made with (its key is %s, the vault's %s): "+
		"put the right file there, from a backup or from the machine that made the vault", m.file, m.number(), keyNumber(probe))
}

// number names the primary key to people. It is no secret.
func (m *master) number() string { return fmt.Sprintf("%08x", m.id) }

// keyNumber reads the number of the key that sealed a Tink ciphertext: 0x01 and four bytes stand in front of it
// (https://developers.google.com/tink/wire-format).
func keyNumber(sealed []byte) string {
	if len(sealed) < 5 || sealed[0] != 1 {
		return "unreadable"
	}
	return fmt.Sprintf("%08x", binary.BigEndian.Uint32(sealed[1:5]))
}
