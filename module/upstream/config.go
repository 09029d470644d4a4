package upstream

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/sandbox"
	"gatehouse/secret"
)

// Config is the section modules.mcp.
type Config struct {
	Servers map[Name]Server `yaml:"servers"`
}

// Name is a server's name, which is its module's too. Reading one refuses what is reserved.
type Name string

// Server is one program that speaks MCP on its standard input and output, or one address that speaks it over HTTP.
type Server struct {
	Command []string              `yaml:"command"`  // program and arguments; no shell reads them
	Env     map[string]string     `yaml:"env"`      // added to PATH, LANG and a private HOME and TMPDIR
	EnvFrom map[string]secret.Ref `yaml:"env_from"` // likewise; read at each start of the program
	Sandbox sandbox.Rules         `yaml:"sandbox"`  // how the program is confined

	URL         string                `yaml:"url"`          // instead of command: http or https
	HeadersFrom map[string]secret.Ref `yaml:"headers_from"` // sent with every request; read when a connection is begun
	Private     bool                  `yaml:"private"`      // the name in url may lead to addresses that are not public
	Credentials string                `yaml:"credentials"`  // shared: all who may call use what headers_from gives

	Tools map[string]Tool `yaml:"tools"` // by the server's own names; "*" holds for those that are not named
}

// Tool says what a tool of a server is. The server's own word is not taken for it, and what is left out is the careful
// value: it destroys, is not trusted, is private, and its arguments carry data out, so that it asks by default.
type Tool struct {
	Effect   Effect         `yaml:"effect"`
	Trusted  bool           `yaml:"trusted"`
	Public   bool           `yaml:"public"`
	Price    Price          `yaml:"price"`
	Deadline time.Duration  `yaml:"deadline"` // left out: 60 s
	Args     map[string]Arg `yaml:"args"`     // by name, or by JSON Pointer where a name begins with /
}

// Arg says what an argument of a tool is, and everything below it.
type Arg struct {
	Kind    string `yaml:"kind"`    // path, url, sql, shell, email, html, text or opaque; left out: text
	Root    string `yaml:"root"`    // kind path: the folder that must contain it, absolute
	Carries string `yaml:"carries"` // destination, content or nothing; left out: nothing for tools that read, else content
}

// Effect is a gate.Effect in a configuration.
type Effect struct{ gate.Effect }

// UnmarshalText reads reads, writes or destroys.
func (e *Effect) UnmarshalText(text []byte) (err error) {
	e.Effect, err = gate.ParseEffect(string(text))
	return err
}

// Price is a gate.Money in a configuration: 0.25 is a quarter of the unit that the operator counts in.
type Price gate.Money

var prices = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,6}))?$`)

// UnmarshalText reads a decimal number with at most six digits after the point.
func (p *Price) UnmarshalText(text []byte) error {
	m := prices.FindStringSubmatch(string(text))
	if m == nil {
		return fmt.Errorf("a price is a number like 0.25, with at most six digits after the point")
	}
	n, err := strconv.ParseInt(m[1]+(m[2] + "000000")[:6], 10, 64)
	*p = Price(n)
	return err
}

// reserved names are those of our own modules, built or planned, and of our own paths.
var reserved = strings.Fields(`gatehouse mcp rest ws web system v1 t
	people permissions tokens policy approvals session audit vault connections calls servers house
	database gmail drive browser upstream openapi`)

var serverNames = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// CheckName refuses a name that no server can have.
func CheckName(name string) error { return Name(name).check() }

// UnmarshalText reads a name.
func (n *Name) UnmarshalText(text []byte) error {
	*n = Name(text)
	return n.check()
}

func (n Name) check() error {
	switch {
	case !serverNames.MatchString(string(n)) || len(n) > 24:
		return fmt.Errorf("server %q: a name is lower-case letters, digits and single dashes, at most 24", string(n))
	case slices.Contains(reserved, string(n)):
		return fmt.Errorf("server %q: the name is one of Gatehouse's own; take another", string(n))
	}
	return nil
}

// Check refuses what must not start. It starts nothing and reaches for nothing.
func (c Config) Check(kit module.Kit) error {
	if len(c.Servers) > maxServers {
		return fmt.Errorf("%d servers are configured, more than %d", len(c.Servers), maxServers)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		if err := c.Servers[name].check(kit, name); err != nil {
			return fmt.Errorf("server %s: %w", name, err)
		}
	}
	return nil
}

// check refuses what must not start.
func (s Server) check(kit module.Kit, name Name) error {
	if err := name.check(); err != nil {
		return err
	}
	check := s.checkCommand
	if s.URL != "" {
		check = s.checkAddress
	}
	if err := check(kit); err != nil {
		return err
	}
	for _, tool := range slices.Sorted(maps.Keys(s.Tools)) {
		if err := s.Tools[tool].check(kit); err != nil {
			return fmt.Errorf("tool %s: %w", tool, err)
		}
	}
	return nil
}

func (s Server) checkCommand(kit module.Kit) error {
	switch {
	case len(s.Command) == 0 || s.Command[0] == "":
		return errors.New("it has neither command, the program and its arguments, nor url, an address")
	case len(s.HeadersFrom) > 0 || s.Private || s.Credentials != "":
		return errors.New("headers_from, private and credentials are for servers with url")
	}
	if program := s.Command[0]; strings.ContainsAny(program, `/\`) && !filepath.IsAbs(program) {
		return fmt.Errorf("the program %s must be a name that PATH finds, or an absolute path", program)
	}
	for _, arg := range s.Command {
		if strings.ContainsRune(arg, 0) {
			return errors.New("command holds a NUL")
		}
	}
	for _, arg := range s.Command[1:] {
		if filepath.IsAbs(arg) && kit.Overlaps(arg) {
			return fmt.Errorf("the argument %s of command holds the data folder or lies in it", arg)
		}
	}
	return s.checkEnvironment()
}

func (s Server) checkEnvironment() error {
	for _, name := range append(slices.Sorted(maps.Keys(s.Env)), slices.Sorted(maps.Keys(s.EnvFrom))...) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(s.Env[name], 0) {
			return fmt.Errorf("%q cannot be an environment variable", name)
		}
		if _, both := s.Env[name]; both && !s.EnvFrom[name].IsZero() {
			return fmt.Errorf("%s stands in env and in env_from", name)
		}
	}
	return nil
}

func (t Tool) check(kit module.Kit) error {
	for _, name := range slices.Sorted(maps.Keys(t.Args)) {
		a := t.Args[name]
		switch {
		case a.Root == "":
		case a.Kind != "path":
			return fmt.Errorf("argument %s: root is for kind path", name)
		case !filepath.IsAbs(a.Root) || filepath.Clean(a.Root) != a.Root:
			return fmt.Errorf("argument %s: root %s must be an absolute path in its plain form", name, a.Root)
		case kit.Overlaps(a.Root):
			return fmt.Errorf("argument %s: root %s holds the data folder or lies in it", name, a.Root)
		}
	}
	_, err := t.arguments()
	return err
}

// arguments says it in the gate's words. Of a tool of which nothing is said, everything carries data out.
func (t Tool) arguments() ([]gate.Argument, error) {
	if len(t.Args) == 0 {
		return []gate.Argument{{Pointer: "", Carries: gate.Destination}}, nil
	}
	var all []gate.Argument
	for _, name := range slices.Sorted(maps.Keys(t.Args)) {
		pointer := name
		if !strings.HasPrefix(name, "/") {
			pointer = "/" + canon.PointerToken(name)
		}
		a, err := gate.ParseArgument(pointer, t.Args[name].Kind, t.Args[name].Carries, t.Effect.Effect)
		if err != nil {
			return nil, err
		}
		a.Root = t.Args[name].Root
		all = append(all, a)
	}
	return all, nil
}

// tool finds what was said of a tool.
func (s Server) tool(name string) Tool {
	if t, said := s.Tools[name]; said {
		return t
	}
	return s.Tools["*"]
}
