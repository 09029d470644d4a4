package rest_test

import (
	"context"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// lister is a module of a test: a name and tools.
type lister struct {
	name  string
	tools []gate.Tool
}

func (l lister) Name() string       { return l.name }
func (l lister) Tools() []gate.Tool { return l.tools }

// modules are tools of every shape: built-in ones with the arguments of the contract, which answer what they saw; one that
// ends in any way; and those of a foreign server.
func (w *world) modules() []gate.Module {
	return []gate.Module{
		lister{"tokens", []gate.Tool{
			echo[owner](w, "tokens.list", gate.Reads), echo[issue](w, "tokens.issue", gate.Writes), echo[revoke](w, "tokens.revoke", gate.Writes),
		}},
		lister{"calls", []gate.Tool{echo[paging](w, "calls.list", gate.Reads), echo[oneCall](w, "calls.get", gate.Reads)}},
		lister{"audit", []gate.Tool{echo[search](w, "audit.search", gate.Reads), echo[oneRow](w, "audit.get", gate.Reads)}},
		lister{"people", []gate.Tool{echo[paging](w, "people.list", gate.Reads), echo[newPerson](w, "people.add", gate.Writes)}},
		lister{"permissions", []gate.Tool{echo[owner](w, "permissions.get", gate.Reads), echo[grants](w, "permissions.set", gate.Writes)}},
		lister{"end", []gate.Tool{
			gate.AccessControlled("as", gate.NewKey(keyCanary+"/end"), gate.Spec{Title: "End as you are told", Effect: gate.Reads}, w.end),
		}},
		lister{"files", w.foreign()},
	}
}

type (
	owner struct {
		Person int64 `json:"person,omitzero" jsonschema:"whose"`
	}
	issue struct {
		Agent string   `json:"agent" jsonschema:"a name for the agent"`
		Tools []string `json:"tools"`
	}
	revoke struct {
		Token   int64 `json:"token"`
		Version int64 `json:"version,omitzero"`
	}
	paging struct {
		Limit  int    `json:"limit,omitzero"`
		Cursor string `json:"cursor,omitzero"`
	}
	oneCall struct {
		Call string `json:"call"`
	}
	search struct {
		Person  int64    `json:"person,omitzero"`
		Outcome []string `json:"outcome,omitzero"`
		Agent   string   `json:"agent,omitzero"`
		Newest  bool     `json:"newest,omitzero"`
		Above   float64  `json:"above,omitzero"`
	}
	oneRow struct {
		ID string `json:"id"`
	}
	newPerson struct {
		Email string `json:"email"`
	}
	grants struct {
		Person  int64             `json:"person"`
		Version int64             `json:"version"`
		Grants  map[string]string `json:"grants"`
	}
	echoed struct {
		Version int64       `json:"version"`
		Saw     canon.Value `json:"saw"`
	}
)

// echo answers the arguments as its handler got them, and version 7.
func echo[A any](w *world, tool gate.ToolName, effect gate.Effect) gate.Tool {
	_, name := cutName(tool)
	spec := gate.Spec{Title: "Title of " + string(tool), Description: "What " + string(tool) + " is for.", Effect: effect}
	return gate.AccessControlled(name, gate.NewKey(keyCanary+"/"+string(tool)), spec, func(_ context.Context, _ gate.Permit, a A) (echoed, error) {
		saw, err := canon.From(a)
		if err != nil {
			return echoed{}, err
		}
		w.saw(tool, saw)
		return echoed{7, saw}, nil
	})
}

func cutName(t gate.ToolName) (module, tool string) {
	for i := range t {
		if t[i] == '.' {
			return string(t[:i]), string(t[i+1:])
		}
	}
	return "", string(t)
}

func (w *world) saw(tool gate.ToolName, args canon.Value) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ran = append(w.ran, ran{tool, args.String()})
}

type endArgs struct {
	Code  string `json:"code"`
	After int64  `json:"after_ms,omitzero"`
}

// end ends in the way that it is told to.
func (w *world) end(_ context.Context, _ gate.Permit, a endArgs) (struct{}, error) {
	code, _ := outcome.Parse(a.Code)
	w.saw("end.as", canon.Value{})
	if code == outcome.OK {
		return struct{}{}, nil
	}
	e := code.Because("because of %s", a.Code)
	e.RetryAfter = time.Duration(a.After) * time.Millisecond
	return struct{}{}, e
}

// foreign are tools with schemas and names that somebody else wrote.
func (w *world) foreign() []gate.Tool {
	tree := `{"type":"object","properties":{"root":{"$ref":"#/$defs/node"},"note":{"type":"string"}},"required":["root"],` +
		`"$defs":{"node":{"type":"object","properties":{"name":{"type":"string"},"children":{"type":"array","items":{"$ref":"#/$defs/node"}}}}}}`
	answer := func(r string, failed bool) func(context.Context, gate.Permit, gate.Raw) (gate.Content, error) {
		return func(_ context.Context, _ gate.Permit, a gate.Raw) (gate.Content, error) {
			w.saw("files", a)
			v, err := canon.Parse([]byte(r))
			return gate.Content{Result: v, Failed: failed}, err
		}
	}
	raw := func(name, input, output, result string, failed bool) gate.Tool {
		spec := gate.Spec{Description: "Written elsewhere: <script>", Effect: gate.Writes, Input: schema(w, input)}
		if output != "" {
			spec.Output = schema(w, output)
		}
		return gate.AccessControlled(name, gate.NewKey(keyCanary+"/files/"+name), spec, answer(result, failed))
	}
	const numbers = `{"content":[{"type":"text","text":"mail ann@example.org"}],"structuredContent":{"big":12345678901234567890123,"small":0.1000000000000000055511151231257827}}`
	return []gate.Tool{
		raw("tree", tree, `{"type":"object","properties":{"big":{"type":"number"},"up":{"$ref":"#/$defs/up"}},"$defs":{"up":{"type":"integer"}}}`, numbers, false),
		raw("fails", `{"type":"object"}`, "", `{"content":[{"type":"text","text":"no such file of ann@example.org"}]}`, true),
		raw("list.all/{ü}%", `{"type":"object","additionalProperties":{"type":"string"}}`, "", `{"content":[]}`, false),
	}
}

func schema(w *world, text string) gate.Schema {
	s, err := gate.ParseSchema([]byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}
