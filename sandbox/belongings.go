package sandbox

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// interpreters take a script as their first argument that is no option.
var interpreters = regexp.MustCompile(`^(node|nodejs|bun|deno|tsx|python[0-9.]*|pypy[0-9.]*|ruby|perl|php|java|bash|dash|sh|zsh)$`)

// inline are options after which no script comes.
var inline = []string{"-c", "-e", "-m", "-p", "--eval", "--print"}

// belongings are the files and folders that a program reads of its own, besides the folders of the system: for the
// program, its script and what interprets them the folder where each lies; for a bin folder the libraries beside it; for
// what was installed by npm its outermost node_modules; for a script of Node its project. A folder that is wider than one
// program (a home, a temporary folder, one with something protected) does not count: then it is the file alone.
func (s *Sandbox) belongings(program string, args []string) []string {
	var all []string
	add := func(paths ...string) {
		for _, path := range paths {
			if !slices.Contains(all, path) && !ofSystem(path) {
				all = append(all, path)
			}
		}
	}
	files := []string{program}
	if interpreters.MatchString(filepath.Base(program)) {
		if script := scriptOf(args); script != "" {
			files = append(files, script)
		}
	}
	for i := 0; i < len(files) && i < 8; i++ {
		if by := interpreterOf(files[i]); by != "" && !slices.Contains(files, by) {
			files = append(files, by)
		}
		followed := real(files[i])
		add(followed)
		for _, path := range []string{followed, files[i]} { // a virtual environment of Python is known by the link's place
			add(s.narrow(around(path))...)
		}
	}
	return all
}

// around are the folders to which a file belongs.
func around(path string) []string {
	dir := filepath.Dir(path)
	if root := outermost(dir, "node_modules"); root != "" {
		return []string{root}
	}
	switch filepath.Ext(path) {
	case ".js", ".mjs", ".cjs", ".ts":
		for up := dir; filepath.Dir(up) != up; up = filepath.Dir(up) {
			if file(filepath.Join(up, "package.json")) {
				return []string{up}
			}
		}
	}
	if name := filepath.Base(dir); name == "bin" || name == "sbin" {
		prefix := filepath.Dir(dir)
		return []string{dir, filepath.Join(prefix, "lib"), filepath.Join(prefix, "lib64"), filepath.Join(prefix, "libexec"), filepath.Join(prefix, "pyvenv.cfg")}
	}
	return []string{dir}
}

// outermost gives the highest folder of a name above a path.
func outermost(path, name string) (found string) {
	for ; filepath.Dir(path) != path; path = filepath.Dir(path) {
		if filepath.Base(path) == name {
			found = path
		}
	}
	return found
}

// narrow leaves out what does not exist and what is wider than one program.
func (s *Sandbox) narrow(paths []string) (all []string) {
	for _, path := range paths {
		followed := real(path)
		_, shielded := s.shields(followed)
		if _, err := os.Stat(followed); err == nil && !shielded && !wide(followed) {
			all = append(all, followed)
		}
	}
	return all
}

// shared are folders that hold more than one program.
var shared = []string{"/", "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/var", "/var/lib", "/var/tmp"}

func wide(path string) bool {
	if slices.Contains(shared, path) || within(path, real(os.TempDir())) {
		return true
	}
	me, err := user.Current()
	return err != nil || me.HomeDir == "" || within(path, real(me.HomeDir))
}

// scriptOf finds the script among the arguments of an interpreter.
func scriptOf(args []string) string {
	for _, arg := range args {
		switch {
		case slices.Contains(inline, arg):
			return ""
		case filepath.IsAbs(arg) && file(arg):
			return filepath.Clean(arg)
		}
	}
	return ""
}

// interpreterOf finds what runs a script that begins with #!, as an absolute path.
func interpreterOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	line, err := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "#!") {
		return ""
	}
	words := strings.Fields(line[2:])
	if len(words) > 1 && filepath.Base(words[0]) == "env" {
		words = slices.DeleteFunc(words[1:], func(w string) bool { return strings.HasPrefix(w, "-") || strings.Contains(w, "=") })
		if len(words) > 0 {
			words[0], _ = exec.LookPath(words[0])
		}
	}
	if len(words) == 0 || !filepath.IsAbs(words[0]) {
		return ""
	}
	return words[0]
}
