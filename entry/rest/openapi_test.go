package rest_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/pb33f/libopenapi"
	"github.com/pb33f/libopenapi/datamodel"

	"gatehouse/canon"
	"gatehouse/entry/rest"
	"gatehouse/gate"
)

// TestOpenAPI: for callers with different rights the document is valid, and shows exactly what the caller may call.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{PublicURL: "https://gate.example.org/", Version: "1.2.3"})
	own := []string{"calls.get", "calls.list", "permissions.get"}
	for name, grants := range map[string]map[string]gate.Decision{
		"nothing":    {},
		"one tool":   {"end.as": gate.Allow},
		"asked":      {"tokens.issue": gate.Ask, "people.list": gate.Allow},
		"foreign":    {"files.tree": gate.Allow, "files.list.all/{ü}%": gate.Allow},
		"everything": w.everything(),
	} {
		t.Run(name, func(t *testing.T) {
			token := w.person(gate.PersonID(len(grants)+1), grants)
			r := w.send("GET", "/v1/openapi.json", token, "")
			if r.status != 200 || r.header.Get("Content-Type") != "application/json" {
				t.Fatalf("%d %s", r.status, r.body)
			}
			doc := parse(t, r.body)
			may := slices.Clone(own)
			for tool := range grants {
				may = append(may, tool)
			}
			slices.Sort(may)
			may = slices.Compact(may)
			checkTools(t, doc, may)
			for _, e := range w.gate.Directory().All() {
				if !slices.Contains(may, string(e.Name)) && strings.Contains(r.body, string(e.Name)) {
					t.Errorf("the document names %s, which the caller may not call", e.Name)
				}
			}
			checkRefs(t, doc)
			validate(t, r.body)
		})
	}
}

func parse(t *testing.T, text string) canon.Value {
	t.Helper()
	v, err := canon.ParseObject([]byte(text))
	if err != nil {
		t.Fatalf("the document is no strict JSON: %v", err)
	}
	return v
}

// checkTools compares the operations with the tools that a caller may call: each under its own path, and each route whose
// tool is there.
func checkTools(t *testing.T, doc canon.Value, may []string) {
	t.Helper()
	var got []string
	operations := map[string]bool{}
	paths, _ := doc.Member("paths")
	for path, item := range paths.Members {
		for method, operation := range item.Members {
			id := textAt(operation, "/operationId")
			if operations[id] || id == "" {
				t.Errorf("operationId %q stands twice", id)
			}
			operations[id] = true
			tool := textAt(operation, "/x-gatehouse-tool")
			if method == "post" && strings.HasPrefix(path, "/v1/tools/") {
				got = append(got, tool)
				if name, err := url.PathUnescape(strings.TrimPrefix(path, "/v1/tools/")); err != nil || name != tool || strings.ContainsAny(path, "{}") {
					t.Errorf("%s is the path of %s", path, tool)
				}
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, may) {
		t.Errorf("operations for %v, want %v", got, may)
	}
	for _, way := range rest.Ways() {
		if operations[way.Operation()] != slices.Contains(may, string(way.Tool())) {
			t.Errorf("%s is there: %v", way.Operation(), operations[way.Operation()])
		}
	}
}

func textAt(v canon.Value, pointer string) string {
	found, _ := v.Lookup(pointer)
	s, _ := found.Text()
	return s
}

// checkRefs: every reference leads somewhere in the document.
func checkRefs(t *testing.T, doc canon.Value) {
	t.Helper()
	n := 0
	for pointer, s := range doc.Strings {
		if !strings.HasSuffix(pointer, "/$ref") {
			continue
		}
		n++
		if _, ok := doc.Lookup(strings.TrimPrefix(s, "#")); !ok || s[0] != '#' {
			t.Errorf("%s leads to %s, where nothing is", pointer, s)
		}
	}
	if n < 10 {
		t.Errorf("only %d references were looked at", n)
	}
}

// validate lets software that we did not write read the document, and holds it against the specification's own schema.
func validate(t *testing.T, text string) {
	t.Helper()
	document, err := libopenapi.NewDocumentWithConfiguration([]byte(text), &datamodel.DocumentConfiguration{})
	if err != nil {
		t.Fatalf("libopenapi: %v", err)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		t.Fatalf("libopenapi: %v", err)
	}
	if model.Model.Version != "3.1.1" || model.Model.Info.Version != "1.2.3" || model.Model.Servers[0].URL != "https://gate.example.org" {
		t.Errorf("libopenapi read version %s, %+v", model.Model.Version, model.Model.Info)
	}
	var specification jsonschema.Schema
	if err := json.Unmarshal([]byte(datamodel.OpenAPI31SchemaData), &specification); err != nil {
		t.Fatalf("the specification's schema: %v", err)
	}
	resolved, err := specification.Resolve(nil)
	if err != nil {
		t.Fatalf("the specification's schema: %v", err)
	}
	var instance any
	if err := json.Unmarshal([]byte(text), &instance); err != nil {
		t.Fatal(err)
	}
	if err := resolved.Validate(instance); err != nil {
		t.Errorf("the specification's schema: %v", err)
	}
}

// TestOpenAPIRunsWhatItSays: a client that knows only the document reaches every tool by it.
func TestOpenAPIRunsWhatItSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	doc := parse(t, w.send("GET", "/v1/openapi.json", token, "").body)
	if servers := textAt(doc, "/servers/0/url"); servers != "/" {
		t.Errorf("without a public URL the server is %q", servers)
	}
	paths, _ := doc.Member("paths")
	n := 0
	for path, item := range paths.Members {
		for method, operation := range item.Members {
			body := ""
			if content, ok := operation.Lookup("/requestBody/content/application~1json/schema"); ok {
				body = example(t, doc, content)
			}
			if id := textAt(operation, "/operationId"); id == "end__as" {
				body = `{"code":"ok"}`
			} else if id == "files__fails" || id == "files__tree" {
				continue
			}
			var headers []string
			for _, p := range elements(operation, "parameters") {
				if textAt(p, "/$ref") == "#/components/parameters/matched" {
					headers = []string{"If-Match", `"1"`}
				}
			}
			n++
			r := w.send(strings.ToUpper(method), strings.Replace(path, "{id}", "5", 1), token, body, headers...)
			if r.status != 200 {
				t.Errorf("%s %s %s: %d %s", method, path, body, r.status, r.body)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d operations were tried", n)
	}
}

func elements(v canon.Value, name string) (all []canon.Value) {
	list, _ := v.Member(name)
	for _, e := range list.Elements {
		all = append(all, e)
	}
	return all
}

// example makes the smallest object that a schema takes.
func example(t *testing.T, doc, schema canon.Value) string {
	t.Helper()
	if ref := textAt(schema, "/$ref"); ref != "" {
		schema, _ = doc.Lookup(strings.TrimPrefix(ref, "#"))
	}
	var members []string
	for _, r := range elements(schema, "required") {
		name, _ := r.Text()
		value := map[string]string{"string": `"x"`, "integer": `1`, "array": `[]`, "object": `{}`}[textAt(schema, "/properties/"+name+"/type")]
		members = append(members, fmt.Sprintf("%q:%s", name, value))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// TestSchemasAreVerbatim: what POST takes is described in the document as the gate has it, and references lead inside it.
func TestSchemasAreVerbatim(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	doc := parse(t, w.send("GET", "/v1/openapi.json", token, "").body)
	list := parse(t, w.send("GET", "/v1/tools", token, "").body)
	moved := regexp.MustCompile(`#/components/schemas/[^/"]+`)
	n := 0
	for _, tool := range elements(list, "tools") {
		name := strings.Replace(textAt(tool, "/name"), ".", "__", 1)
		if name == "files__list.all/{ü}%" {
			continue // its exported name is another
		}
		for _, part := range []string{"input", "output"} {
			listed, ok := tool.Member(part + "Schema")
			shown, found := doc.Lookup("/components/schemas/" + name + "." + part)
			if ok != found || ok && moved.ReplaceAllString(shown.String(), "#") != listed.String() {
				t.Errorf("%s of %s is %s in the document and %s in the list", part, name, shown, listed)
			}
			n++
		}
		if effect, want := textAt(tool, "/effect"), map[bool]string{true: "reads", false: "writes"}; effect != want[true] && effect != want[false] {
			t.Errorf("%s has the effect %q", name, effect)
		}
	}
	if tree := textAt(doc, "/components/schemas/files__tree.input/properties/root/$ref"); tree != "#/components/schemas/files__tree.input/$defs/node" {
		t.Errorf("a reference inside a foreign schema leads to %q", tree)
	}
	if n < 20 {
		t.Errorf("only %d schemas were compared", n)
	}
}

// TestApprovalIsShown: a tool that a human must approve says so in the list and in the document.
func TestApprovalIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, map[string]gate.Decision{"tokens.issue": gate.Ask, "end.as": gate.Allow})
	list := w.send("GET", "/v1/tools", token, "").body
	doc := w.send("GET", "/v1/openapi.json", token, "").body
	for _, want := range []string{`"effect":"writes","approval":"ask"`, `"effect":"reads","approval":"none"`} {
		if !strings.Contains(list, want) {
			t.Errorf("the list lacks %s", want)
		}
	}
	for _, want := range []string{`"x-gatehouse-effect":"writes","x-gatehouse-approval":"ask"`, `"x-gatehouse-approval":"none"`} {
		if !strings.Contains(doc, want) {
			t.Errorf("the document lacks %s", want)
		}
	}
}

// TestRoutesSayWhatTheyTake: each argument of a route's tool stands in exactly one place of its operation.
func TestRoutesSayWhatTheyTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	doc := parse(t, w.send("GET", "/v1/openapi.json", w.person(1, w.everything()), "").body)
	for _, way := range rest.Ways() {
		method, path := way.Request()
		operation, _ := doc.Lookup("/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + strings.ToLower(method))
		var got []string
		for _, p := range elements(operation, "parameters") {
			name := textAt(p, "/name")
			switch ref := textAt(p, "/$ref"); {
			case strings.HasPrefix(ref, "#/components/parameters/match"):
				name = "version"
			case ref != "":
				continue
			case textAt(p, "/in") == "path":
				name = way.ID()
			}
			got = append(got, name)
		}
		body, _ := operation.Lookup("/requestBody/content/application~1json/schema")
		got = append(got, properties(body)...)
		input, _ := doc.Lookup("/components/schemas/" + strings.Replace(string(way.Tool()), ".", "__", 1) + ".input")
		want := properties(input)
		slices.Sort(got)
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%s takes %v, its tool %v", way.Operation(), got, want)
		}
	}
}

func properties(schema canon.Value) (names []string) {
	p, _ := schema.Member("properties")
	for name := range p.Members {
		names = append(names, name)
	}
	return names
}
