package rest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// route binds a method and a path to a tool, and says where the tool's arguments come from. It adds nothing to what the
// tool takes: each route is another spelling of POST /v1/tools/{tool}.
type route struct {
	method    string
	path      string
	tool      gate.ToolName
	operation string // operationId in the OpenAPI document
	id        string // the argument that {id} in the path is
	from      source // where the other arguments stand
	version   matching
}

// source is where arguments come from.
type source uint8

const (
	nowhere source = iota // there are no others
	query
	body
)

// matching says what the version of a resource has to do with the route: it is the ETag of the answer, and the argument
// version comes from If-Match.
type matching uint8

const (
	unversioned matching = iota
	shown                // an ETag is given
	matchable            // If-Match is taken
	matched              // If-Match is required
)

// routes are the resource-like routes of the built-in modules.
var routes = []route{
	{method: "GET", path: "/v1/tokens", tool: "tokens.list", operation: "listTokens", from: query},
	{method: "POST", path: "/v1/tokens", tool: "tokens.issue", operation: "issueToken", from: body},
	{method: "DELETE", path: "/v1/tokens/{id}", tool: "tokens.revoke", operation: "revokeToken", id: "token", version: matchable},
	{method: "GET", path: "/v1/calls", tool: "calls.list", operation: "listCalls", from: query},
	{method: "GET", path: "/v1/calls/{id}", tool: "calls.get", operation: "getCall", id: "call"},
	{method: "GET", path: "/v1/audit", tool: "audit.search", operation: "searchAudit", from: query},
	{method: "GET", path: "/v1/audit/{id}", tool: "audit.get", operation: "getAuditRow", id: "id"},
	{method: "GET", path: "/v1/people", tool: "people.list", operation: "listPeople", from: query},
	{method: "POST", path: "/v1/people", tool: "people.add", operation: "addPerson", from: body},
	{method: "GET", path: "/v1/people/{id}/permissions", tool: "permissions.get", operation: "getPermissions", id: "person", version: shown},
	{method: "PUT", path: "/v1/people/{id}/permissions", tool: "permissions.set", operation: "setPermissions", id: "person", from: body, version: matched},
}

// resource answers a route. Whether the caller may do it, and whether the arguments are good, is the gate's to say.
func (e *entry) resource(w http.ResponseWriter, r *http.Request, c gate.Caller, way route) {
	arguments, status, err := way.arguments(r, e.schemaOf(r, c, way.tool))
	if err != nil {
		refuse(w, status, err)
		return
	}
	e.call(w, r, c, gate.Request{Tool: way.tool, Arguments: arguments}, way.version)
}

// schemaOf finds what a tool takes, for the types of what stands in paths and queries. A tool that is not there for the
// caller has none; its call is made all the same, so that the gate refuses it and writes it down.
func (e *entry) schemaOf(r *http.Request, c gate.Caller, tool gate.ToolName) canon.Value {
	offers, err := e.gate.Tools(r.Context(), c)
	if err != nil {
		return canon.Value{}
	}
	for _, o := range offers {
		if o.Name == tool {
			return o.Input
		}
	}
	return canon.Value{}
}

// arguments puts the object together. A name that stands in two places is written twice: the gate refuses it, and nobody
// has to guess which one counts.
func (way route) arguments(r *http.Request, schema canon.Value) (arguments []byte, status int, err error) {
	var t text
	t.open('{')
	if way.id != "" {
		id := r.PathValue("id")
		if !utf8.ValidString(id) {
			return nil, http.StatusBadRequest, outcome.Invalid.Because("the path is not UTF-8")
		}
		t.member(way.id)
		typed(&t, property(schema, way.id), []string{id})
	}
	if err := way.ifMatch(r, &t); err != nil {
		if len(r.Header.Values("If-Match")) == 0 {
			return nil, http.StatusPreconditionRequired, err
		}
		return nil, http.StatusBadRequest, err
	}
	if way.from == query {
		if err := writeQuery(&t, r.URL.RawQuery, schema); err != nil {
			return nil, http.StatusBadRequest, err
		}
	} else if r.URL.RawQuery != "" {
		return nil, http.StatusBadRequest, outcome.Invalid.Because("this path takes no query")
	}
	if way.from == body {
		sent, status, err := readBody(r)
		if err != nil {
			return nil, status, err
		}
		return join(t.b, sent), 0, nil
	}
	if err := noBody(r); err != nil {
		return nil, http.StatusBadRequest, err
	}
	t.close('}')
	return t.b, 0, nil
}

// writeQuery writes every parameter as an argument: one that the tool does not take is the gate's to refuse.
func writeQuery(t *text, raw string, schema canon.Value) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return outcome.Invalid.From(err, "the query cannot be read")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !utf8.ValidString(name + strings.Join(values[name], "")) {
			return outcome.Invalid.Because("the query is not UTF-8")
		}
		t.member(name)
		typed(t, property(schema, name), values[name])
	}
	return nil
}

// ifMatch writes the version that the caller saw.
func (way route) ifMatch(r *http.Request, t *text) error {
	if way.version < matchable {
		return nil
	}
	tags := r.Header.Values("If-Match")
	if len(tags) == 0 {
		if way.version == matchable {
			return nil
		}
		return outcome.Invalid.Because("say which version you saw: If-Match with the ETag of your GET")
	}
	version, ok := parseTag(tags)
	if !ok {
		return outcome.Invalid.Because(`If-Match must be one ETag as GET gave it, such as "7"`)
	}
	t.member("version").number(version)
	return nil
}

// parseTag reads one strong tag. A list or * would let a write through that saw no version.
func parseTag(tags []string) (version int64, ok bool) {
	if len(tags) != 1 {
		return 0, false
	}
	version, err := strconv.ParseInt(strings.Trim(tags[0], `"`), 10, 64)
	return version, err == nil && tags[0] == etag(version)
}

// versionOf finds the version of the resource that a result shows.
func versionOf(o gate.Outcome) (version int64, ok bool) {
	v, ok := o.Result.Member("version")
	if !ok || o.Code != outcome.OK {
		return 0, false
	}
	version, err := strconv.ParseInt(v.String(), 10, 64)
	return version, err == nil
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// join puts the members of an object that was sent behind those that begin. What is no object goes to the gate as it came,
// to be refused there.
func join(begun, sent []byte) []byte {
	if len(sent) == 0 {
		return append(begun, '}')
	}
	v, err := canon.ParseObject(sent)
	if err != nil {
		return sent
	}
	t := text{b: begun}
	for name, value := range v.Members {
		t.member(name).value(value)
	}
	t.close('}')
	return t.b
}

func property(schema canon.Value, name string) canon.Value {
	properties, _ := schema.Member("properties")
	p, _ := properties.Member(name)
	return p
}

// typed writes what stands in a path or query as the type that the schema asks for. What is not of that type stays a
// string, and what is there more often than it may becomes a list: the gate then says what is wrong with it.
func typed(t *text, schema canon.Value, values []string) {
	kind := kindOf(schema)
	if kind == "array" {
		items, _ := schema.Member("items")
		list(t, kindOf(items), values)
		return
	}
	if len(values) != 1 {
		list(t, kind, values)
		return
	}
	scalar(t, kind, values[0])
}

func list(t *text, kind string, values []string) {
	t.open('[')
	for _, v := range values {
		scalar(t.next(), kind, v)
	}
	t.close(']')
}

func scalar(t *text, kind, value string) {
	switch kind {
	case "integer", "number":
		number := jsontext.Value(value)
		if number.IsValid() && number.Kind() == '0' && strings.TrimSpace(value) == value {
			t.raw(value)
			return
		}
	case "boolean":
		if value == "true" || value == "false" {
			t.raw(value)
			return
		}
	}
	t.string(value)
}

func kindOf(schema canon.Value) string {
	kind, _ := schema.Member("type")
	s, _ := kind.Text()
	return s
}
