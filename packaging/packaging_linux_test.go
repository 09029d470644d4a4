// Package packaging_test looks at what is installed: it must hold only what it should, for whom it should.
package packaging_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// program finds one, or skips.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("GATEHOUSE_TEST_REQUIRE_PARTS") != "" {
			t.Fatal(err)
		}
		t.Skipf("skipped for want of a part: %v", err)
	}
	return path
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// built are the packages that tests made, by version.
var built struct {
	mu  sync.Mutex
	all map[string]error
}

// release builds the package of this machine, once, and gives its file.
func release(t *testing.T, version string) string {
	t.Helper()
	built.mu.Lock()
	defer built.mu.Unlock()
	err, done := built.all[version]
	if !done {
		cmd := exec.CommandContext(t.Context(), "bash", "../tools/release.sh", "v"+version)
		cmd.Env = append(os.Environ(), "ARCHS="+runtime.GOARCH)
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		if built.all == nil {
			built.all = map[string]error{}
		}
		built.all[version] = err
	}
	if err != nil {
		t.Fatalf("building it: %v", err)
	}
	deb, err := filepath.Abs("../build/release/gatehouse_" + version + "_" + runtime.GOARCH + ".deb")
	if err != nil {
		t.Fatal(err)
	}
	return deb
}

// TestPackage builds the package and looks into it.
func TestPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a release")
	}
	dpkg := program(t, "dpkg-deb")
	deb := release(t, "1.2.3")
	contents := run(t, dpkg, "--contents", deb)
	for _, want := range []string{
		`-rwxr-xr-x root/root .* \./usr/bin/gatehouse`,
		`-rw-r--r-- root/root .* \./usr/lib/systemd/system/gatehouse\.service`,
		`-rw-r--r-- root/root .* \./usr/lib/sysusers\.d/gatehouse\.conf`,
		`drwxr-x--- root/root .* \./etc/gatehouse/`,
		`-rw-r----- root/root .* \./etc/gatehouse/gatehouse\.yaml`,
		`\./usr/share/bash-completion/completions/gatehouse`,
	} {
		if !regexp.MustCompile(`(?m)^` + want + `$|` + want + `\n`).MatchString(contents) {
			t.Errorf("%s is not in\n%s", want, contents)
		}
	}
	if strings.Contains(contents, "rws") || strings.Contains(contents, "rwxrwx") || strings.Contains(contents, "w- root/root") {
		t.Errorf("a mode is too wide:\n%s", contents)
	}
	if info := run(t, dpkg, "--info", deb); !strings.Contains(info, "Version: 1.2.3\n") || !strings.Contains(info, "conffiles") {
		t.Errorf("%s", info)
	}
	root := t.TempDir()
	run(t, dpkg, "-x", deb, root)
	if out := run(t, filepath.Join(root, "usr/bin/gatehouse"), "version"); !strings.HasPrefix(out, "gatehouse ") {
		t.Errorf("version: %s", out)
	}
	t.Run("alone in an empty root, as the container runs it", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only root can change the root folder")
		}
		if err := os.Chmod(root, 0o755); err != nil {
			t.Fatal(err)
		}
		alone := exec.CommandContext(t.Context(), "/usr/bin/gatehouse", "version")
		alone.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		alone.Dir, alone.Env = "/", []string{}
		if out, err := alone.CombinedOutput(); err != nil {
			t.Errorf("%v %s", err, out)
		}
	})
}

// TestUnit: systemd understands the unit, and finds little that it could do.
func TestUnit(t *testing.T) {
	t.Parallel()
	analyze := program(t, "systemd-analyze")
	out, _ := exec.CommandContext(t.Context(), analyze, "verify", "gatehouse.service").CombinedOutput() // the binary is not installed here
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		if strings.Contains(line, "gatehouse.service") && !strings.Contains(line, "is not executable") {
			t.Errorf("%s", line)
		}
	}
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "gatehouse.service").CombinedOutput()
	found := regexp.MustCompile(`Overall exposure level for gatehouse.service: ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		t.Skipf("this systemd looks at no unit that is not installed: %v", err)
	}
	if level, err := strconv.ParseFloat(string(found[1]), 64); err != nil || level > 2 {
		t.Errorf("exposure %s: %v", found[1], err)
	}
	unit, err := os.ReadFile("gatehouse.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"User=gatehouse", "NoNewPrivileges=yes", "ProtectSystem=strict", "StateDirectory=gatehouse", "LimitCORE=0", "LoadCredential="} {
		if !strings.Contains(string(unit), want) {
			t.Errorf("%s is not there", want)
		}
	}
}

// TestScripts: the package's scripts are shell.
func TestScripts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"postinst.sh", "prerm.sh"} {
		run(t, program(t, "sh"), "-n", name)
	}
}
