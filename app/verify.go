package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/config"
	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/module/audit"
	"gatehouse/module/vault"
)

// LogReport is what a verification of the log found.
type LogReport struct {
	audit.Report
	Sealed string `json:"payloads_not_opened,omitzero"` // why; empty: all were opened
}

// Kept is what was kept elsewhere, by which a cut tail is found: whole texts, or empty.
type Kept struct {
	Head       string // a signed head
	Checkpoint string // a signed checkpoint
}

// VerifyLog verifies the log of a data folder without its lock, while a server writes or while none runs. Nothing is written. An error means that it could not be done. Where the vault is
// missing, as beside a copy that was taken for verifying, payloads stay sealed, and the report says so.
func VerifyLog(ctx context.Context, file config.File, kept Kept, log *slog.Logger) (r LogReport, err error) {
	if err := harden(); err != nil {
		return r, err
	}
	data, err := filepath.Abs(file.Data)
	if err != nil {
		return r, fmt.Errorf("finding the data folder: %w", err)
	}
	file.Data = data
	a := &App{file: file, log: log}
	o := audit.VerifyOptions{Head: kept.Head, Checkpoint: kept.Checkpoint, Log: log}
	if o.Source, err = a.source(); err != nil {
		return r, err
	}
	if o.PublicKey, err = audit.ReadPublicKey(a.auditKey()); err != nil {
		return r, err
	}
	kit := module.Kit{Name: "vault", Source: o.Source, Data: data, Log: log}.Ready()
	defer func() { err = errors.Join(err, kit.Close()) }()
	if o.Sealer, r.Sealed = readVault(ctx, kit, file); r.Sealed != "" {
		o.Sealer = nil
	}
	r.Report, err = audit.Verify(ctx, o)
	return r, err
}

// readVault opens the vault as it is. Without its master key there is nothing to open: a vault that was never made must
// not be made by looking.
func readVault(ctx context.Context, kit module.Kit, file config.File) (gate.Sealer, string) {
	if _, err := os.Stat(file.MasterFile()); errors.Is(err, fs.ErrNotExist) {
		return nil, "the master key is not here"
	}
	v, err := vault.New(ctx, kit, vault.Config{MasterFile: file.MasterFile()})
	if err != nil {
		return nil, err.Error()
	}
	return v, ""
}

// CopyKey is the file beside a copy of the log that holds the public key of its heads.
func CopyKey(file string) string { return file + ".pub" }

// VerifyLogCopy verifies a copy of the log that gatehouse audit export --database made, or the file of one closed segment. Its
// payloads stay sealed.
func VerifyLogCopy(ctx context.Context, file string, kept Kept, log *slog.Logger) (r LogReport, err error) {
	if err := harden(); err != nil {
		return r, err
	}
	o := audit.VerifyOptions{Head: kept.Head, Checkpoint: kept.Checkpoint, Log: log}
	public, err := os.ReadFile(CopyKey(file))
	if errors.Is(err, fs.ErrNotExist) { // a closed segment in its data folder has the key of the log
		if beside, reading := os.ReadFile(filepath.Join(filepath.Dir(file), "keys", "audit.pub")); reading == nil {
			public, err = beside, nil
		}
	}
	if err != nil {
		return r, fmt.Errorf("reading the log's public key: %w", err)
	}
	o.PublicKey = strings.TrimSpace(string(public))
	r.Sealed = "a copy is verified without the vault"
	r.Report, err = audit.VerifyCopy(ctx, file, o)
	return r, err
}
