package rest

import (
	"net/http"

	"gatehouse/canon"
	"gatehouse/gate"
)

// Ways gives the table of routes.
func Ways() []route { return routes }

// Tool is the tool of a route.
func (way route) Tool() gate.ToolName { return way.tool }

// Request is the method and path of a route.
func (way route) Request() (method, path string) { return way.method, way.path }

// Operation is the operationId of a route.
func (way route) Operation() string { return way.operation }

// ID is the argument that stands in the path, if one does.
func (way route) ID() string { return way.id }

// Versioned reports whether the route's tool takes a version from If-Match, and whether it gives one as ETag.
func (way route) Versioned() (takes, gives bool) {
	return way.version >= matchable, way.version == shown || way.version == matched
}

// Arguments puts the arguments of a request together.
func (way route) Arguments(r *http.Request, schema canon.Value) ([]byte, error) {
	arguments, _, err := way.arguments(r, schema)
	return arguments, err
}

// ParseTag reads an If-Match header.
var ParseTag = parseTag
