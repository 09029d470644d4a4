package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// printed gives the one block of shell in a section of docs/operation.md that installs a package.
func printed(t *testing.T, section string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1)
	var found []string
	for _, b := range blocks {
		if strings.Contains(b[1], "dpkg ") {
			found = append(found, b[1])
		}
	}
	if len(found) != 1 {
		t.Fatalf("the section %s of docs/operation.md installs a package in %d blocks of commands, want 1", section, len(found))
	}
	return found[0]
}

// root runs shell lines as root in a copy of this machine's files that nobody else sees and that goes with them.
func root(t *testing.T, lines string, debs ...string) string {
	t.Helper()
	dir := t.TempDir()
	// What is mounted there is seen by this shell alone. The files below / stay as they are: changes go to memory.
	const enter = `set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t tmpfs tmpfs "$1/root/run"
mount -t proc proc "$1/root/proc"
mkdir -p "$1/root/work"
root=$1/root lines=$2
shift 2
cp "$@" "$root/work/"
cd "$root/work"
exec chroot "$root" /bin/sh -e -c "cd /work
$lines"
`
	cmd := exec.CommandContext(t.Context(), program(t, "unshare"), "--mount", "--pid", "--fork", "--kill-child", "--", "/bin/sh", "-c", enter, "sh", dir, lines)
	cmd.Args = append(cmd.Args, debs...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if text := string(out); err != nil && os.Getenv("GATEHOUSE_TEST_REQUIRE_PARTS") == "" &&
		(strings.HasPrefix(text, "mount: ") || strings.HasPrefix(text, "unshare: ")) {
		t.Skipf("skipped: this root may not make a root folder: %s", text)
	}
	if err != nil {
		t.Fatalf("%s\n%s\n%v", lines, out, err)
	}
	return string(out)
}

// TestInstallIsAsPrinted runs the commands of the section Install as root, in a root folder of their own, with the package
// that a release builds. No systemd runs there: systemctl enables the unit, and what it would start and restart is started by
// hand, as the unit says.
func TestInstallIsAsPrinted(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a release")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can install a package")
	}
	program(t, "dpkg")
	program(t, "systemctl")
	program(t, "runuser")
	first, second := release(t, "1.2.3"), release(t, "1.2.4")
	lines, upgrade := printed(t, "Install"), printed(t, "Upgrade")
	for _, want := range []string{"dpkg -i gatehouse_VERSION_amd64.deb\n", "systemctl enable --now gatehouse\n", "runuser -u gatehouse"} {
		if !strings.Contains(lines, want) {
			t.Fatalf("the section Install does not say %q any more: this test stands for it\n%s", want, lines)
		}
	}
	lines = strings.ReplaceAll(lines, "VERSION_amd64", "1.2.3_"+runtime.GOARCH)
	upgrade = strings.ReplaceAll(upgrade, "VERSION_amd64", "1.2.4_"+runtime.GOARCH)
	unit, err := os.ReadFile("gatehouse.service")
	if err != nil {
		t.Fatal(err)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindSubmatch(unit)
	if start == nil {
		t.Fatal("the unit starts nothing")
	}
	lines = strings.Replace(lines, "systemctl enable --now", "systemctl enable", 1) // there is no systemd to start it
	before, after, _ := strings.Cut(lines, "runuser ")
	script := before +
		"install -d -o gatehouse -g gatehouse -m 0700 /var/lib/gatehouse\n" + // StateDirectory=
		"runuser -u gatehouse -- " + string(start[1]) + " &\n" +
		"n=0; until [ -S /var/lib/gatehouse/operator.sock ]; do n=$((n+1)); [ $n -lt 200 ]; sleep 0.1; done\n" +
		"runuser " + after +
		"echo enabled: $(readlink /etc/systemd/system/multi-user.target.wants/gatehouse.service)\n" +
		"echo owned: $(stat -c %U:%G:%a /etc/gatehouse/gatehouse.yaml)\n" +
		"runuser -u gatehouse -- gatehouse --data /var/lib/gatehouse user list\n" +
		"echo '# mine' >> /etc/gatehouse/gatehouse.yaml\n" +
		upgrade +
		"runuser -u gatehouse -- gatehouse --data /var/lib/gatehouse status && tail -n 1 /etc/gatehouse/gatehouse.yaml\n" +
		"dpkg -r gatehouse\n"
	got := root(t, script, first, second)
	for _, want := range []string{
		`Setting up gatehouse \(1\.2\.3\)`, "listening on http://127.0.0.1:8080", "enabled: /lib/systemd/system/gatehouse.service|enabled: /usr/lib/systemd/system/gatehouse.service",
		"owned: root:gatehouse:640", `ada@example\.org`, `Setting up gatehouse \(1\.2\.4\)`, "(?m)^# mine$", "Removing gatehouse",
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("it says\n%s\nwant %s", got, want)
		}
	}
	if left, err := filepath.Glob("/etc/gatehouse/*"); err != nil || len(left) > 0 {
		t.Errorf("this machine itself has %v (%v)", left, err)
	}
}
