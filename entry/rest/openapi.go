package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/canon"
	"gatehouse/gate"
)

// openAPI answers GET /v1/openapi.json: the document of what this caller may call now, and of nothing else.
func (e *entry) openAPI(w http.ResponseWriter, r *http.Request, c gate.Caller) {
	if err := unaskedFor(r); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	offers, err := e.gate.Tools(r.Context(), c)
	if err != nil {
		answer(w, explained(err))
		return
	}
	send(w, http.StatusOK, "application/json", e.document(offers))
}

// document is written by appending: schemas stand in it as the gate has them, and nothing but offers can enter.
func (e *entry) document(offers []gate.Offer) []byte {
	var t text
	t.open('{')
	t.member("openapi").string("3.1.1")
	t.member("info").open('{')
	t.member("title").string("Gatehouse")
	t.member("description").string("What you may call now, each through one door with its row in the log. The list follows your permissions.")
	t.member("version").string(orElse(e.config.Version, "0"))
	t.close('}')
	t.member("servers").raw(`[{"url":`)
	t.string(orElse(strings.TrimSuffix(e.config.PublicURL, "/"), "/"))
	t.raw(`}]`)
	t.member("security").raw(`[{"bearer":[]}]`)
	t.member("tags").open('[')
	for _, m := range modulesOf(offers) {
		t.next().open('{')
		t.member("name").string(m)
		t.close('}')
	}
	t.close(']')
	t.member("paths").open('{')
	t.raw(fixedPaths)
	for _, o := range offers {
		t.tool(o)
	}
	t.resources(offers)
	t.close('}')
	t.components(offers)
	t.close('}')
	return t.b
}

// modulesOf groups operations in the reference page.
func modulesOf(offers []gate.Offer) []string {
	modules := []string{"gatehouse"}
	for _, o := range offers {
		modules = append(modules, o.Module)
	}
	return slices.Compact(modules) // offers are sorted by name, so a module's stand together
}

// tool writes POST /v1/tools/NAME. The name is a path segment: signs that a foreign server chose are escaped.
func (t *text) tool(o gate.Offer) {
	t.member("/v1/tools/" + url.PathEscape(string(o.Name))).open('{')
	t.member("post").open('{')
	t.operation(o, o.Exported)
	t.member("parameters").raw(`[` + ref("parameters/session") + `,` + ref("parameters/task") + `,` + ref("parameters/idempotency") + `]`)
	t.requestBody(o.Input, func() { t.raw(ref("schemas/" + o.Exported + ".input")) })
	t.responses(o, unversioned)
	t.close('}')
	t.close('}')
}

// operation writes what a reader wants to know first.
func (t *text) operation(o gate.Offer, id string) {
	t.member("operationId").string(id)
	t.member("tags").strings(o.Module)
	t.member("summary").string(orElse(o.Title, string(o.Name)))
	if o.Description != "" {
		t.member("description").string(o.Description)
	}
	t.member("x-gatehouse-tool").string(string(o.Name))
	t.member("x-gatehouse-effect").string(o.Effect.String())
	t.member("x-gatehouse-approval").string(approval(o))
}

func (t *text) requestBody(input canon.Value, schema func()) {
	t.member("requestBody").open('{')
	if required, _ := input.Member("required"); required.Len() > len(`[]`) {
		t.member("required").raw("true")
	}
	t.member("content").raw(`{"application/json":{"schema":`)
	schema()
	t.raw(`}}`)
	t.close('}')
}

func (t *text) responses(o gate.Offer, v matching) {
	t.member("responses").open('{')
	t.member("200").open('{')
	t.member("description").string("It was carried out, and its row is in the log.")
	if v == shown || v == matched {
		t.member("headers").raw(`{"ETag":{"description":"The version, for If-Match.","schema":{"type":"string"}}}`)
	}
	t.member("content").raw(`{"application/json":{"schema":` + ref("schemas/"+o.Exported+".done") + `}}`)
	t.close('}')
	t.member("default").raw(ref("responses/problem"))
	t.close('}')
}

// resources writes the routes whose tools are there for the caller.
func (t *text) resources(offers []gate.Offer) {
	ways := slices.Clone(routes)
	slices.SortStableFunc(ways, func(a, b route) int { return strings.Compare(a.path, b.path) })
	path := ""
	for _, way := range ways {
		i := slices.IndexFunc(offers, func(o gate.Offer) bool { return o.Name == way.tool })
		if i < 0 {
			continue
		}
		if way.path != path {
			if path != "" {
				t.close('}')
			}
			path = way.path
			t.member(path).open('{')
		}
		t.resource(offers[i], way)
	}
	if path != "" {
		t.close('}')
	}
}

func (t *text) resource(o gate.Offer, way route) {
	t.member(strings.ToLower(way.method)).open('{')
	t.operation(o, way.operation)
	t.member("parameters").open('[')
	if way.id != "" {
		t.parameter(o, "id", "path", way.id, true)
	}
	if way.from == query {
		properties, _ := o.Input.Member("properties")
		for name := range properties.Members {
			t.parameter(o, name, "query", name, isRequired(o.Input, name))
		}
	}
	switch way.version {
	case matchable:
		t.next().raw(ref("parameters/match"))
	case matched:
		t.next().raw(ref("parameters/matched"))
	default:
	}
	for _, name := range []string{"session", "task"} {
		t.next().raw(ref("parameters/" + name))
	}
	if way.method != http.MethodGet {
		t.next().raw(ref("parameters/idempotency"))
	}
	t.close(']')
	if way.from == body {
		t.requestBody(o.Input, func() { t.remaining(o, way) })
	}
	t.responses(o, way.version)
	t.close('}')
}

func (t *text) parameter(o gate.Offer, name, in, argument string, required bool) {
	t.next().open('{')
	t.member("name").string(name)
	t.member("in").string(in)
	if required {
		t.member("required").raw("true")
	}
	t.member("schema").value(localRefs(property(o.Input, argument), inputOf(o)))
	t.close('}')
}

// remaining is the schema of a body whose other arguments stand in the path and in If-Match.
func (t *text) remaining(o gate.Offer, way route) {
	elsewhere := []string{way.id}
	if way.version >= matchable {
		elsewhere = append(elsewhere, "version")
	}
	input := localRefs(o.Input, inputOf(o))
	t.open('{')
	for name, v := range input.Members {
		switch name {
		case "properties":
			t.member(name).open('{')
			for p, schema := range v.Members {
				if !slices.Contains(elsewhere, p) {
					t.member(p).value(schema)
				}
			}
			t.close('}')
		case "required":
			t.member(name).open('[')
			for _, r := range v.Elements {
				if p, _ := r.Text(); !slices.Contains(elsewhere, p) {
					t.next().value(r)
				}
			}
			t.close(']')
		default:
			t.member(name).value(v)
		}
	}
	t.close('}')
}

func isRequired(input canon.Value, name string) bool {
	required, _ := input.Member("required")
	for _, r := range required.Elements {
		if p, _ := r.Text(); p == name {
			return true
		}
	}
	return false
}

// components hold each tool's schemas under its exported name, and what all operations share.
func (t *text) components(offers []gate.Offer) {
	t.member("components").open('{')
	t.raw(fixedComponents)
	t.member("schemas").open('{')
	t.raw(fixedSchemas)
	for _, o := range offers {
		t.member(o.Exported + ".input").value(localRefs(o.Input, inputOf(o)))
		if !o.Output.IsZero() {
			t.member(o.Exported + ".output").value(localRefs(o.Output, schemas+o.Exported+".output"))
		}
		t.done(o)
	}
	t.close('}')
	t.close('}')
}

// done is the schema of the whole answer of a tool.
func (t *text) done(o gate.Offer) {
	output := `true`
	if !o.Output.IsZero() {
		output = ref("schemas/" + o.Exported + ".output")
	}
	if o.Content {
		output = `{"type":"object","required":["content"],"properties":{"content":{"type":"array","items":{"type":"object"}},"structuredContent":` + output + `}}`
	}
	t.member(o.Exported + ".done").raw(`{"type":"object","required":["id","result"],"properties":{"id":` + ref("schemas/id") +
		`,"result":` + output + `,"redactions":` + ref("schemas/redactions") + `}}`)
}

const schemas = "#/components/schemas/"

func inputOf(o gate.Offer) string { return schemas + o.Exported + ".input" }

func ref(component string) string { return `{"$ref":"#/components/` + component + `"}` }

// localRefs makes references inside a schema that was its own document ("#/$defs/x") lead to where it now stands. A schema
// with a name of its own ($id) keeps them: they are relative to that name.
func localRefs(schema canon.Value, at string) canon.Value {
	if _, named := schema.Member("$id"); named {
		return schema
	}
	return schema.ReplaceStrings(func(pointer, s string) string {
		fragment, local := strings.CutPrefix(s, "#")
		isRef := strings.HasSuffix(pointer, "/$ref") || strings.HasSuffix(pointer, "/$dynamicRef")
		if local && isRef && (fragment == "" || fragment[0] == '/') {
			return at + fragment
		}
		return s
	})
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
