package wire

import (
	"errors"
	"fmt"
	"strconv"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// Code is an error code of JSON-RPC. Those from -32768 to -32000 belong to specifications; ours would lie outside.
type Code int64

// The codes that JSON-RPC 2.0 §5.1 and the revisions of MCP define.
const (
	ParseError     Code = -32700 // JSON-RPC 2.0: not JSON
	InvalidRequest Code = -32600 // JSON-RPC 2.0: JSON, but no frame
	MethodNotFound Code = -32601 // JSON-RPC 2.0; HTTP 404 in the modern era
	InvalidParams  Code = -32602 // JSON-RPC 2.0; also an unknown resource from 2026-07-28 on
	InternalError  Code = -32603 // JSON-RPC 2.0

	ResourceNotFound       Code = -32002 // MCP up to 2025-11-25 (server/resources); must not be sent in the modern era
	URLElicitationRequired Code = -32042 // MCP 2025-11-25 (schema: URLElicitationRequiredError); not in the modern era

	HeaderMismatch          Code = -32020 // MCP 2026-07-28 (transports/streamable-http); HTTP 400
	MissingClientCapability Code = -32021 // MCP 2026-07-28 (schema: MissingRequiredClientCapabilityError); HTTP 400
	UnsupportedVersion      Code = -32022 // MCP 2026-07-28 (basic/versioning); HTTP 400; data {supported, requested}
)

// Because makes an error of the code.
func (c Code) Because(format string, args ...any) *Error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...)}
}

// Error is the error of a frame.
type Error struct {
	Code    Code
	Message string
	Data    canon.Value // zero: none
}

// Error gives code and message.
func (e *Error) Error() string { return strconv.FormatInt(int64(e.Code), 10) + " " + e.Message }

// parseError says what canon found.
func parseError(err error) *Error {
	reason := "not JSON"
	var e *outcome.Error
	if errors.As(err, &e) && e.Reason != "" {
		reason = e.Reason
	}
	return ParseError.Because("%s", reason)
}

// codeOf reads a code.
func codeOf(v canon.Value) (Code, bool) {
	n, err := strconv.ParseInt(v.String(), 10, 64)
	return Code(n), err == nil
}
