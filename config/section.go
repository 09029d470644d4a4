package config

import (
	"errors"
	"maps"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Section is the part of the file that belongs to one module. It stays as it was written until [Section.Decode], because
// only the module knows what it may hold. The zero value is a section that was left out.
type Section struct {
	source
	node ast.Node
	at   *token.Position // of its name
}

// Decode fills a module's Config, given as a pointer to a struct with yaml tags, as strictly as [Load] does. Fields that
// the section leaves out keep the values that they have, so a module may put its defaults in first. With the option path
// (`yaml:"dir,path"`) a field is a path relative to the file, see also [PathResolver]; a secret.Ref takes {env: NAME}, {file: PATH} or
// {credential: NAME}, and where its name ends in _env, _file or _credential just that name or path.
func (s Section) Decode(dst any) error { return s.decode(dst, s.node) }

// Wrap puts the section's place before an error that a module gave about its configuration.
func (s Section) Wrap(err error) error {
	if err == nil || errors.As(err, new(*Error)) {
		return err
	}
	return s.faultAt(s.at, "%w", err)
}

// KnowModules refuses a section whose module does not exist.
func (f *File) KnowModules(names ...string) error {
	for _, name := range slices.Sorted(maps.Keys(f.Modules)) {
		if !slices.Contains(names, name) {
			s := f.Modules[name]
			return s.faultAt(s.at, "unknown module %q%s", name, hint(name, names))
		}
	}
	return nil
}
