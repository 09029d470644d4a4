package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
)

// real follows the links of a path as far as it exists.
func real(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if followed, err := filepath.EvalSymlinks(path); err == nil {
		return followed
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(real(parent), filepath.Base(path))
	}
	return path
}

// within reports whether path is the folder or lies in it. Both are real.
func within(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && (rel == "." || filepath.IsLocal(rel))
}

// shields reports which protected path a real path holds or lies in.
func (s *Sandbox) shields(path string) (string, bool) {
	for _, p := range s.protected {
		if within(p, path) || within(path, p) {
			return p, true
		}
	}
	return "", false
}

// resolve checks the paths of a configuration and gives them with all links followed. From here on they stay what they
// are: a program that puts a link in the place of one of them gains nothing by being started again.
func (s *Sandbox) resolve(field string, paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path {
			return nil, fmt.Errorf("sandbox.%s: %s must be a path in its plain form", field, path)
		}
		followed := real(path)
		if p, ok := s.shields(followed); ok {
			return nil, fmt.Errorf("sandbox.%s: %s holds %s or lies in it (the data folder, the configuration and the keys are for no program)", field, path, p)
		}
		all = append(all, followed)
	}
	return all, nil
}

// folder reports whether a path is one.
func folder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// file reports whether a path is a regular file.
func file(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
