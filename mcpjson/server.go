package mcpjson

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// reader takes over one server after the other.
type reader struct {
	names names
	vars  *variables
	found Found
}

func (r *reader) note(line int, server, format string, args ...any) {
	r.found.Notes = append(r.found.Notes, Note{line, server, fmt.Sprintf(format, args...)})
}

// understood are the fields that say what a server is.
var understood = strings.Fields(`command args env environment type transport url serverUrl httpUrl headers disabled enabled`)

// clientsOwn are fields that say how a client treats a server, with nothing in Gatehouse that they would be.
var clientsOwn = strings.Fields(`alwaysAllow autoApprove allowedTools enabledTools disabledTools includeTools excludeTools
	excludedTools tools trust timeout initTimeout startupTimeout description name title icon iconUrl gallery version dev
	metadata displayName`)

// server takes over one server.
func (r *reader) server(m member) error {
	if m.kind != object {
		return faultAt(m.line, "server %q must be an object", m.name)
	}
	fields := map[string]node{}
	var dropped []string
	for _, f := range m.members {
		switch {
		case slices.Contains(understood, f.name):
			fields[f.name] = f.node
		case slices.Contains(clientsOwn, f.name):
			dropped = append(dropped, f.name)
		case f.name == "cwd" || f.name == "envFile" || f.name == "oauth" || f.name == "authProviderType" || f.name == "sandbox":
		default:
			return faultAt(f.line, "server %q: the field %q is not understood: take it out of a copy of the file, or leave the server out with --skip", m.name, f.name)
		}
	}
	off, err := disabled(m.name, fields)
	if err != nil {
		return err
	}
	if off {
		r.note(m.line, "", "the server %q is switched off and is not taken over", m.name)
		return nil
	}
	s := Server{Was: m.name, Line: m.line}
	if s.Name, err = r.names.of(m.name); err != nil {
		return faultAt(m.line, "server %q: there is no name for it: %v", m.name, err)
	}
	if s.Name != s.Was {
		r.note(m.line, s.Name, "%q is called %s here: a name is lower-case letters, digits and single dashes, at most %d, and none of Gatehouse's own", s.Was, s.Name, maxName)
	}
	if err := r.kindOf(&s, fields); err != nil {
		return err
	}
	r.left(m, s.Name, dropped)
	r.found.Servers = append(r.found.Servers, s)
	return nil
}

// left says which fields have nothing that they would be here.
func (r *reader) left(m member, name string, dropped []string) {
	if n, ok := m.member("cwd"); ok {
		r.note(n.line, name, "cwd is not taken over: the program runs in a folder of its own, so write paths in command in full")
	}
	if n, ok := m.member("envFile"); ok {
		r.note(n.line, name, "envFile was not read: name the variables that the program needs in env_from")
	}
	for _, field := range []string{"oauth", "authProviderType"} {
		if n, ok := m.member(field); ok && !(n.kind == boolean && !n.yes) {
			r.note(n.line, name, "%s is not taken over: if the server asks for a sign-in, give its token with headers_from", field)
		}
	}
	if n, ok := m.member("sandbox"); ok {
		r.note(n.line, name, "sandbox is not taken over: the program is confined as sandbox in the configuration says")
	}
	if len(dropped) > 0 {
		r.note(m.line, name, "%s: left out; what agents may call is said by tools and by gatehouse permit", strings.Join(dropped, ", "))
	}
}

func disabled(server string, fields map[string]node) (bool, error) {
	off := false
	for _, name := range []string{"disabled", "enabled"} {
		n, ok := fields[name]
		if ok && n.kind != boolean {
			return false, faultAt(n.line, "server %q: %s must be true or false", server, name)
		}
		off = off || ok && n.yes == (name == "disabled")
	}
	return off, nil
}

// types are the words that clients have for a program and for an address.
var types = map[string]string{
	"stdio": "command", "local": "command",
	"http": "url", "remote": "url", "sse": "url", "streamable-http": "url", "streamableHttp": "url", "streamable_http": "url",
}

// kindOf finds out whether the server is a program or an address, and takes that over.
func (r *reader) kindOf(s *Server, fields map[string]node) error {
	said := ""
	for _, name := range []string{"type", "transport"} {
		if n, ok := fields[name]; ok {
			if said = types[n.text]; n.kind != text || said == "" {
				return faultAt(n.line, "server %q: %s is none that is known: stdio, http, sse, local or remote", s.Was, name)
			}
		}
	}
	var addresses []string
	for _, name := range []string{"url", "serverUrl", "httpUrl"} {
		if _, ok := fields[name]; ok {
			addresses = append(addresses, name)
		}
	}
	_, program := fields["command"]
	switch {
	case len(addresses) > 1 || program && len(addresses) > 0:
		return faultAt(s.Line, "server %q has more than one of command, url, serverUrl and httpUrl: leave the one that is meant", s.Was)
	case !program && len(addresses) == 0:
		return faultAt(s.Line, "server %q has neither command nor url", s.Was)
	case said == "url" && program || said == "command" && !program:
		return faultAt(s.Line, "server %q: its type does not fit command or url", s.Was)
	case program:
		if n, ok := fields["headers"]; ok {
			return faultAt(n.line, "server %q: headers are for servers with url", s.Was)
		}
		if err := r.command(s, fields); err != nil {
			return err
		}
		return r.environment(s, fields)
	}
	for _, name := range []string{"args", "env", "environment"} {
		if n, ok := fields[name]; ok && len(n.items)+len(n.members) > 0 {
			return faultAt(n.line, "server %q: %s is for servers with command", s.Was, name)
		}
	}
	if err := r.address(s, fields[addresses[0]]); err != nil {
		return err
	}
	return r.headers(s, fields)
}

// command takes over the program and its arguments, as far as they may be seen.
func (r *reader) command(s *Server, fields map[string]node) error {
	words, err := commandOf(s.Was, fields)
	if err != nil {
		return err
	}
	for _, w := range words {
		if err := fit(s.Was, "command", w); err != nil {
			return err
		}
	}
	program := words[0]
	switch {
	case program.text == "" || reference.MatchString(program.text) || strings.HasPrefix(program.text, "~"):
		return faultAt(program.line, "server %q: write the program out: a name that PATH finds, or a path in full", s.Was)
	case strings.ContainsAny(program.text, `/\`) && !absolute(program.text):
		return faultAt(program.line, "server %q: the program must be a name that PATH finds, or a path in full", s.Was)
	case !absolute(program.text) && strings.ContainsFunc(program.text, unicode.IsSpace):
		return faultAt(program.line, "server %q: command holds spaces: put the program alone there and the rest in args", s.Was)
	case secretValue(program.text):
		return faultAt(program.line, "server %q: the program's name looks like a secret", s.Was)
	}
	s.Command = []string{program.text}
	for i := 1; i < len(words); i++ {
		before := words[i-1].text
		if harmlessArgument(before, words[i].text) {
			s.Command = append(s.Command, words[i].text)
			continue
		}
		what := fmt.Sprintf("argument %d", i)
		if flag.MatchString(before) && len(s.Command) > 1 && s.Command[len(s.Command)-1] == before {
			s.Command = s.Command[:len(s.Command)-1] // a flag without its value would take the next argument for it
			what = fmt.Sprintf("arguments %d and %d (%s …)", i-1, i, before)
		} else if name, _, ok := strings.Cut(words[i].text, "="); ok && (flag.MatchString(name) || variable.MatchString(name)) && !secretValue(name) && len(name) <= 40 {
			what += " (" + name + "=…)"
		}
		why := "could be a secret, and everybody on the machine can see arguments"
		if reference.MatchString(words[i].text) {
			why = "holds a variable, and the configuration puts none into arguments"
		}
		s.LeftOut = append(s.LeftOut, what)
		r.note(words[i].line, s.Name, "%s: left out: it %s. If the program also reads a variable, name that in env_from; if it is no secret, write it into command yourself", what, why)
	}
	r.advise(s)
	return nil
}

// commandOf gives the program and its arguments: command with args, or one list as opencode has it.
func commandOf(server string, fields map[string]node) ([]node, error) {
	command, args := fields["command"], fields["args"]
	_, separate := fields["args"]
	var words []node
	switch {
	case command.kind == text:
		words = []node{command}
	case command.kind == list && len(command.items) > 0 && !separate:
		words = slices.Clone(command.items)
	default:
		return nil, faultAt(command.line, "server %q: command must be the program, as text, with its arguments in args; or one list of both", server)
	}
	if separate && args.kind != list {
		return nil, faultAt(args.line, "server %q: args must be a list", server)
	}
	words = append(words, args.items...)
	for _, w := range words {
		if w.kind != text {
			return nil, faultAt(w.line, "server %q: each argument must be text: put it in quotes", server)
		}
	}
	return words, nil
}

// fit refuses what no client writes and nothing of ours can carry.
func fit(server, field string, n node) error {
	if strings.ContainsFunc(n.text, unicode.IsControl) {
		return faultAt(n.line, "server %q: %s holds a control character", server, field)
	}
	if clientOnly(n.text) {
		return faultAt(n.line, "server %q: %s holds a variable that only the client knows: write out what it stands for", server, field)
	}
	return nil
}

var (
	braces = regexp.MustCompile(`\$\{([^}]*)\}?`)
	// known to us are ${NAME}, ${env:NAME}, ${NAME:-else}, ${input:id} and ${file:path}.
	understoodVariable = regexp.MustCompile(`^((env:)?[A-Za-z_][A-Za-z0-9_]*(:-.*)?|input:.+|file:.+)$`)
	editors            = strings.Fields(`workspaceFolder workspaceFolderBasename userHome pathSeparator extensionPath extensionInstallFolder cwd file selectedText __dirname`)
)

// clientOnly reports whether a text holds a variable of an editor, like ${workspaceFolder}.
func clientOnly(s string) bool {
	for _, m := range braces.FindAllStringSubmatch(s, -1) {
		if !strings.HasSuffix(m[0], "}") || !understoodVariable.MatchString(m[1]) || slices.Contains(editors, m[1]) {
			return true
		}
	}
	return false
}

// advise says what a program will need, or should have.
func (r *reader) advise(s *Server) {
	base := s.Command[0]
	if i := strings.LastIndexAny(base, `/\`); i >= 0 {
		base = base[i+1:]
	}
	switch strings.TrimSuffix(strings.TrimSuffix(base, ".cmd"), ".exe") {
	case "npx", "bunx", "pnpm", "yarn", "uvx":
		if p := packageOf(s.Command[1:]); p != "" && !strings.Contains(p[1:], "@") && !strings.Contains(p, "==") {
			r.note(s.Line, s.Name, "%s has no version, so each start may run another program: pin it, as %s@1.2.3", p, p)
		}
		r.note(s.Line, s.Name, "%s fetches its package when it starts: that needs sandbox: {network: any}, or a package that is installed", base)
		if slices.ContainsFunc(s.Command, func(arg string) bool { return strings.HasPrefix(arg, "mcp-remote") }) {
			r.note(s.Line, s.Name, "mcp-remote is not needed: give the server's address as url, and its headers with headers_from")
		}
	case "docker", "podman":
		r.note(s.Line, s.Name, "%s reaches a socket of this machine: that needs sandbox: {unix_sockets: true}, and whoever has that socket is out of the sandbox", base)
	}
	if slices.ContainsFunc(s.Command[1:], absolute) {
		r.note(s.Line, s.Name, "the paths in command are out of its reach until sandbox names them with read or write")
	}
}

// packageOf gives the first argument that is no flag.
func packageOf(args []string) string {
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") && arg != "dlx" && arg != "exec" && arg != "" {
			return arg
		}
	}
	return ""
}

// environment takes over variables: harmless values as they are, all others by reference.
func (r *reader) environment(s *Server, fields map[string]node) error {
	for _, field := range []string{"env", "environment"} {
		n, ok := fields[field]
		if ok && n.kind != object {
			return faultAt(n.line, "server %q: %s must be an object of variables", s.Was, field)
		}
		for _, m := range n.sorted() {
			if m.kind != text {
				return faultAt(m.line, "server %q: the value of a variable must be text: put it in quotes", s.Was)
			}
			if !variable.MatchString(m.name) {
				return faultAt(m.line, "server %q: %q cannot be an environment variable", s.Was, m.name)
			}
			if _, both := fields["env"].member(m.name); both && field == "environment" {
				return faultAt(m.line, "server %q: %s stands in env and in environment", s.Was, m.name)
			}
			if !reference.MatchString(m.text) && harmless(m.name, m.text) {
				put(&s.Env, m.name, m.text)
				continue
			}
			ref, err := r.refer(s, m.name, m)
			if err != nil {
				return err
			}
			put(&s.EnvFrom, m.name, ref)
		}
	}
	return nil
}

// protocols are headers that the connection or the protocol sets by itself.
var protocols = strings.Fields(`accept content-type connection host user-agent`)

func (r *reader) headers(s *Server, fields map[string]node) error {
	n, ok := fields["headers"]
	if ok && n.kind != object {
		return faultAt(n.line, "server %q: headers must be an object", s.Was)
	}
	for _, m := range n.sorted() {
		if m.kind != text {
			return faultAt(m.line, "server %q: the value of a header must be text: put it in quotes", s.Was)
		}
		if slices.Contains(protocols, strings.ToLower(m.name)) || strings.HasPrefix(strings.ToLower(m.name), "mcp-") {
			r.note(m.line, s.Name, "header %s: left out, Gatehouse sets it", m.name)
			continue
		}
		ref, err := r.refer(s, m.name, m)
		if err != nil {
			return err
		}
		put(&s.HeadersFrom, m.name, ref)
	}
	if len(s.HeadersFrom) > 0 {
		r.note(n.line, s.Name, "everybody who may call a tool of it uses these headers: that is what credentials: shared says")
	}
	return nil
}

func put[V any](m *map[string]V, name string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[name] = v
}

var (
	wholeVariable = regexp.MustCompile(`^(?:\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}|\$([A-Za-z_][A-Za-z0-9_]*)|\{env:([A-Za-z_][A-Za-z0-9_]*)\}|%([A-Za-z_][A-Za-z0-9_]*)%)$`)
	wholeInput    = regexp.MustCompile(`^\$\{input:([^}]+)\}$`)
	wholeFile     = regexp.MustCompile(`^\$?\{file:([^}]+)\}$`)
)

// refer makes a reference of a value: of what it refers to itself, else of a new variable that its value must be put into.
func (r *reader) refer(s *Server, field string, n member) (Ref, error) {
	if !wholeFile.MatchString(n.text) {
		if err := fit(s.Was, field, n.node); err != nil {
			return Ref{}, err
		}
	}
	// Somebody may have put the secret itself into the braces: what looks like one is no variable's name.
	if m := wholeVariable.FindStringSubmatch(n.text); m != nil && !secretValue(m[1]+m[3]+m[4]+m[5]) && !guessable(m[1]+m[3]+m[4]+m[5]) {
		name := r.vars.refer(m[1] + m[3] + m[4] + m[5])
		if m[2] != "" {
			r.note(n.line, s.Name, "%s is taken from the variable %s; what the file says for when it is not set was not taken over", field, name)
		}
		return Ref{Env: name}, nil
	}
	if m := wholeInput.FindStringSubmatch(n.text); m != nil {
		name := r.vars.name(m[1], "input:"+m[1])
		r.note(n.line, s.Name, "%s: what the client asks for is taken from the variable %s", field, name)
		return Ref{Env: name}, nil
	}
	if m := wholeFile.FindStringSubmatch(n.text); m != nil {
		if !absolute(m[1]) || secretValue(m[1]) || strings.ContainsFunc(m[1], unicode.IsControl) {
			return Ref{}, faultAt(n.line, "server %q: %s refers to a file: write its path in full", s.Was, field)
		}
		r.note(n.line, s.Name, "%s is read from a file, which must have mode 0600", field)
		return Ref{File: m[1]}, nil
	}
	name := r.vars.ofServer(s.Name, field)
	whole := ""
	if strings.ContainsAny(n.text, "${ ") {
		whole = ", the whole of it with what stands around"
	}
	r.note(n.line, s.Name, "%s: its value was not taken over: put it into the variable %s%s", field, name, whole)
	return Ref{Env: name}, nil
}

// address takes over where a server is, without what could be a secret.
func (r *reader) address(s *Server, n node) error {
	if n.kind != text {
		return faultAt(n.line, "server %q: the address must be text", s.Was)
	}
	if err := fit(s.Was, "the address", n); err != nil {
		return err
	}
	u, err := url.Parse(n.text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return faultAt(n.line, "server %q: the address must be http:// or https:// and a host", s.Was)
	}
	if u.Fragment != "" || strings.HasSuffix(n.text, "#") {
		return faultAt(n.line, "server %q: the address has a part after #, which no server gets to see", s.Was)
	}
	place := u.Host + u.EscapedPath()
	if reference.MatchString(place) || reference.MatchString(u.Host+u.Path) {
		return faultAt(n.line, "server %q: the address holds a variable: write it out", s.Was)
	}
	if secretValue(u.Host+u.Path) || secretValue(place) || slices.ContainsFunc(strings.Split(u.Path, "/"), guessable) {
		return faultAt(n.line, "server %q: the path of its address could hold a secret, and addresses are shown: it cannot be taken over, leave it out with --skip", s.Was)
	}
	if u.User != nil {
		u.User = nil
		s.LeftOut = append(s.LeftOut, "the user and password of url")
		r.note(n.line, s.Name, "the user and password in the address were left out: put \"Basic …\" into a variable, and name it for Authorization in headers_from with credentials: shared")
	}
	r.query(s, u, n)
	s.URL = u.String()
	if h := u.Hostname(); h == "localhost" || strings.HasSuffix(h, ".local") || strings.HasSuffix(h, ".internal") {
		r.note(n.line, s.Name, "the name %s leads to an address that is not public: write the address in numbers, or private: true beside it", h)
	}
	return nil
}

// query leaves out of an address's query what could be a secret.
func (r *reader) query(s *Server, u *url.URL, n node) {
	var kept []string
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, _ := strings.Cut(part, "=")
		plainName, err1 := url.QueryUnescape(name)
		plainValue, err2 := url.QueryUnescape(value)
		switch {
		case part == "":
		case err1 == nil && err2 == nil && variable.MatchString(plainName) && !secretValue(plainName) &&
			!reference.MatchString(plainValue) && harmless(plainName, plainValue):
			kept = append(kept, part)
		default:
			what := "a parameter"
			if variable.MatchString(plainName) && !random(plainName) && !known.MatchString(plainName) {
				what = "the parameter " + plainName
			}
			s.LeftOut = append(s.LeftOut, what+" of url")
			r.note(n.line, s.Name, "%s of the address was left out: it could be a secret, and addresses are shown. Give it as a header with headers_from if the server takes one; if it is no secret, write it into url yourself", what)
		}
	}
	u.RawQuery, u.ForceQuery = strings.Join(kept, "&"), false
}
