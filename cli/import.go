package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/app"
	"gatehouse/config"
	"gatehouse/mcpjson"
)

// importCommand takes over what other programs were told. It never starts what they name (T7): only serve and doctor do,
// and only what stands in the configuration.
type importCommand struct {
	MCP importMCPCommand `cmd:"" name:"mcp" help:"Say the MCP servers of a client's JSON file as configuration, without a secret in it."`
}

type importMCPCommand struct {
	File  string   `arg:"" help:"The client's file, as .mcp.json, claude_desktop_config.json, .vscode/mcp.json; - is standard input."`
	Write bool     `help:"Add them to the file that --config names, instead of printing them."`
	Skip  []string `placeholder:"NAME" help:"Leave out this server of the file, may be repeated."`
}

// serversPath is where servers stand in the configuration.
var serversPath = []string{"modules", "mcp", "servers"}

// Run implements the command.
func (c *importMCPCommand) Run(r *run) error {
	if c.Write && r.flags.Config == "" {
		return wrong("--write needs --config and the file that the servers are added to")
	}
	name, text, err := c.read(r.in)
	if err != nil {
		return err
	}
	var old []byte
	if r.flags.Config != "" {
		if old, err = config.Text(r.flags.Config); err != nil {
			return err
		}
	}
	found, err := mcpjson.Read(name, text, mcpjson.Options{
		Skip:  c.Skip,
		Valid: app.CheckServerName,
		Taken: func(variable string) bool { return config.Mentions(old, variable) },
	})
	if err != nil {
		return withHint(err, "nothing was taken over; correct a copy of the file, or leave a server out with --skip NAME")
	}
	entries := entriesOf(found.Servers)
	if c.Write {
		err = c.write(r, old, entries)
	} else {
		text, err = config.Insert("the configuration", nil, serversPath, entries)
		err = errors.Join(err, r.accepted("what would be printed", text))
	}
	if err != nil {
		return err
	}
	return c.tell(r, name, found, text)
}

// read reads the client's file, or standard input.
func (c *importMCPCommand) read(in io.Reader) (name string, text []byte, err error) {
	name = c.File
	if name == "-" {
		name = "standard input"
	} else {
		info, err := os.Stat(c.File)
		if err == nil && info.IsDir() {
			err = errors.New("it is a folder")
		}
		if err != nil {
			return "", nil, withHint(fmt.Errorf("reading %s: %w", c.File, err), "name the file in which the client keeps its servers")
		}
		f, err := os.Open(c.File)
		if err != nil {
			return "", nil, withHint(fmt.Errorf("reading %s: %w", c.File, err), "run it as a user who may read the file")
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err = io.ReadAll(io.LimitReader(in, mcpjson.MaxFile+4)) // one more than may be, and a byte order mark
	if err != nil {
		return "", nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return name, text, nil
}

// entriesOf says servers as fields of the configuration. Of their tools nothing is known, which is the careful default.
func entriesOf(servers []mcpjson.Server) (entries []config.Entry) {
	for _, s := range servers {
		e := config.Entry{Name: s.Name}
		add := func(name string, value any) { e.Fields = append(e.Fields, config.EntryField{Name: name, Value: value}) }
		for _, what := range s.LeftOut {
			e.Comments = append(e.Comments, "left out: "+what)
		}
		if s.URL != "" {
			add("url", s.URL)
		} else {
			add("command", s.Command)
		}
		if len(s.Env) > 0 {
			add("env", s.Env)
		}
		if len(s.EnvFrom) > 0 {
			add("env_from", references(s.EnvFrom))
		}
		if len(s.HeadersFrom) > 0 {
			add("headers_from", references(s.HeadersFrom))
			add("credentials", "shared")
		}
		add("tools", map[string]map[string]string{"*": {}})
		entries = append(entries, e)
	}
	return entries
}

func references(from map[string]mcpjson.Ref) map[string]map[string]string {
	all := map[string]map[string]string{}
	for name, ref := range from {
		if ref.File != "" {
			all[name] = map[string]string{"file": ref.File}
		} else {
			all[name] = map[string]string{"env": ref.Env}
		}
	}
	return all
}

// write adds the servers to a configuration file, once it is sure that a start would take the new one.
func (c *importMCPCommand) write(r *run, old []byte, entries []config.Entry) error {
	path := r.flags.Config
	text, err := config.Insert(path, old, serversPath, entries)
	if err != nil {
		return withHint(err, "nothing was written; without --write the servers are printed, to be put in by hand")
	}
	if err := r.accepted(path, text); err != nil {
		return withHint(err, "nothing was written; correct the file first")
	}
	return config.Replace(path, old, text)
}

// accepted reports what a start would find wrong with a configuration, were it a file of this name.
func (r *run) accepted(name string, text []byte) error {
	file, err := config.Read(name, text)
	if err != nil {
		return err
	}
	file.SetData(r.flags.Data)
	return app.CheckServers(file)
}

// tell prints the result, and on standard error what must be known and done.
func (c *importMCPCommand) tell(r *run, name string, found mcpjson.Found, text []byte) error {
	if r.flags.JSON {
		type server struct {
			Server string `json:"server"`
			Was    string `json:"was"`
		}
		result := struct {
			Servers   []server       `json:"servers"`
			Variables []string       `json:"variables"`
			Notes     []mcpjson.Note `json:"notes"`
			YAML      string         `json:"yaml,omitzero"`
			Written   string         `json:"written,omitzero"`
		}{Variables: found.Variables, Notes: found.Notes}
		for _, s := range found.Servers {
			result.Servers = append(result.Servers, server{s.Name, s.Was})
		}
		if c.Write {
			result.Written = r.flags.Config
		} else {
			result.YAML = string(text)
		}
		return r.sayAsJSON(result)
	}
	for _, n := range found.Notes {
		about := ""
		if n.Server != "" {
			about = "server " + n.Server + ": "
		}
		r.note("%s:%d: %s%s", name, n.Line, about, n.Text)
	}
	var err error
	if c.Write {
		err = r.say("%d servers were added to %s", len(found.Servers), r.flags.Config)
	} else {
		for line := range bytes.Lines(text) {
			if err = r.say("%s", strings.TrimSuffix(string(line), "\n")); err != nil {
				break
			}
		}
	}
	if err != nil {
		return err
	}
	if len(found.Variables) > 0 {
		r.note("set where gatehouse serve runs: %s", strings.Join(found.Variables, ", "))
	}
	where := "FILE"
	if r.flags.Config != "" {
		where = filepath.ToSlash(r.flags.Config)
	}
	r.note("hint: gatehouse --config %s doctor starts them and proposes what to say of their tools; until then each tool counts as one that destroys", where)
	return nil
}
