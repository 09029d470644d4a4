//go:build unix

package audit_test

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"

	"gatehouse/store/storetest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestKeyFileIsRefused: whoever else could have read or written the key could sign heads.
func TestKeyFileIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, file string)
		want   string // in the error; empty: it is taken
	}{
		{"as it was made", func(*testing.T, string) {}, ""},
		{"mode 0400", func(t *testing.T, file string) { must(t, os.Chmod(file, 0o400)) }, ""},
		{"group reads", func(t *testing.T, file string) { must(t, os.Chmod(file, 0o640)) }, "chmod 600"},
		{"others read", func(t *testing.T, file string) { must(t, os.Chmod(file, 0o604)) }, "chmod 600"},
		{"group writes", func(t *testing.T, file string) { must(t, os.Chmod(file, 0o620)) }, "chmod 600"},
		{"set-user-id", func(t *testing.T, file string) { must(t, os.Chmod(file, 0o600|os.ModeSetuid)) }, "chmod 600"},
		{"a link", func(t *testing.T, file string) {
			must(t, os.Rename(file, file+".real"))
			must(t, os.Symlink(file+".real", file))
		}, "symbolic link"},
		{"a link that leads nowhere", func(t *testing.T, file string) {
			must(t, os.Remove(file))
			must(t, os.Symlink(file+".gone", file))
		}, "symbolic link"},
		{"a folder", func(t *testing.T, file string) {
			must(t, os.Remove(file))
			must(t, os.Mkdir(file, 0o600))
		}, "not a regular file"},
		{"a pipe that nobody writes to", func(t *testing.T, file string) {
			must(t, os.Remove(file))
			must(t, syscall.Mkfifo(file, 0o600))
		}, "not a regular file"},
		{"another user's", func(t *testing.T, file string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			must(t, os.Chown(file, 4242, 4242))
		}, "belongs to user 4242"},
		{"endless", func(t *testing.T, file string) {
			text := append([]byte(readFile(t, file)), bytes.Repeat([]byte(" "), 1<<17)...)
			must(t, os.WriteFile(file, text, 0o600))
		}, "restore it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLog(t, storetest.SQLite(t))
			l.close()
			tt.change(t, l.config.KeyFile)
			err := l.tryOpen()
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), l.config.KeyFile) {
				t.Errorf("%v, want an error that says %q and names the file", err, tt.want)
			}
		})
	}
}
