package mcpjson

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// maxName is how long a server's name may be.
const maxName = 24

// names gives servers names that the configuration takes.
type names struct {
	valid func(string) error
	given map[string]bool
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// of gives a server's name: as it was where that will do, else the nearest that will. A name that another server has
// gets a number; one that is Gatehouse's own gets "-server" behind it.
func (n *names) of(was string) (string, error) {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(was), "-"), "-")
	switch {
	case name == "":
		name = "server"
	case name[0] <= '9':
		name = "s-" + name
	}
	name = cut(name, maxName)
	if n.valid(name) != nil {
		name = cut(name, maxName-len("-server")) + "-server"
	}
	base := name
	for i := 2; n.given[name]; i++ {
		number := fmt.Sprintf("-%d", i)
		name = cut(base, maxName-len(number)) + number
	}
	n.given[name] = true
	return name, n.valid(name)
}

func cut(name string, most int) string {
	return strings.TrimRight(name[:min(len(name), most)], "-")
}

// variables gives names of environment variables to secrets, so that two secrets never share one.
type variables struct {
	taken func(string) bool
	owner map[string]string // by variable: what it stands for
	named map[string]bool   // that the file refers to by name, anywhere
}

// mentioned finds whatever could be a reference to a variable, so that no new name collides with one.
var mentioned = regexp.MustCompile(`\$\{?(?:env:)?([A-Za-z_][A-Za-z0-9_]*)|\{env:([A-Za-z_][A-Za-z0-9_]*)|%([A-Za-z_][A-Za-z0-9_]*)%`)

func newVariables(file []byte, taken func(string) bool) *variables {
	v := &variables{taken: taken, owner: map[string]string{}, named: map[string]bool{}}
	for _, m := range mentioned.FindAllSubmatch(file, -1) {
		v.named[string(m[1])+string(m[2])+string(m[3])] = true
	}
	return v
}

// refer takes the variable that the file names itself.
func (v *variables) refer(name string) string {
	v.owner[name] = "env:" + name
	return name
}

// name makes a variable for what stands for: the same variable for the same thing, another for another.
func (v *variables) name(wish, standsFor string) string {
	wish = strings.Trim(notInVariable.ReplaceAllString(strings.ToUpper(wish), "_"), "_")
	if wish == "" || wish[0] <= '9' {
		wish = "MCP_" + wish
	}
	name := wish
	for i := 2; ; i++ {
		owner, used := v.owner[name]
		if owner == standsFor {
			return name
		}
		if !used && !v.named[name] && (v.taken == nil || !v.taken(name)) {
			v.owner[name] = standsFor
			return name
		}
		name = fmt.Sprintf("%s_%d", wish, i)
	}
}

var notInVariable = regexp.MustCompile(`[^A-Z0-9]+`)

// ofServer makes the variable for one value of a server, as GITHUB_TOKEN.
func (v *variables) ofServer(server, field string) string {
	prefix := strings.ReplaceAll(strings.ToUpper(server), "-", "_") + "_"
	wish := strings.ToUpper(field)
	if !strings.HasPrefix(wish, prefix) {
		wish = prefix + wish
	}
	return v.name(wish, "value:"+server+":"+field)
}

func (v *variables) used() []string { return slices.Sorted(maps.Keys(v.owner)) }
