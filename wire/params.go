package wire

import (
	"strings"

	"gatehouse/canon"
)

// Members of _meta that the specification reserves (MCP 2026-07-28, basic/index).
const (
	MetaProtocolVersion    = "io.modelcontextprotocol/protocolVersion"
	MetaClientInfo         = "io.modelcontextprotocol/clientInfo"
	MetaClientCapabilities = "io.modelcontextprotocol/clientCapabilities"
	MetaLogLevel           = "io.modelcontextprotocol/logLevel"
	MetaServerInfo         = "io.modelcontextprotocol/serverInfo"
	MetaSubscriptionID     = "io.modelcontextprotocol/subscriptionId"
	MetaProgressToken      = "progressToken"
	MetaTraceParent        = "traceparent"
	MetaTraceState         = "tracestate"
	MetaBaggage            = "baggage"
)

// known are the members of params that this package reads, found in one pass: arguments may be long.
type known struct {
	meta, name, uri, arguments     canon.Value
	inputResponses, requestState   canon.Value
	protocolVersion, progressToken canon.Value
}

// read finds the members, and refuses those that a reader who folds case would take for one of them.
func (k *known) read(params canon.Value) error {
	for name, member := range params.Members {
		switch name {
		case "_meta":
			k.meta = member
		case "name":
			k.name = member
		case "uri":
			k.uri = member
		case "arguments":
			k.arguments = member
		case "inputResponses":
			k.inputResponses = member
		case "requestState":
			k.requestState = member
		case "protocolVersion":
			k.protocolVersion = member
		default:
			if folds(name) {
				return InvalidParams.Because("params has a member whose name differs only in case from a known one")
			}
		}
	}
	if k.meta.IsZero() {
		return nil
	}
	if !k.meta.IsObject() {
		return InvalidParams.Because("_meta must be an object")
	}
	k.progressToken, _ = k.meta.Member(MetaProgressToken)
	if _, ok := idOf(k.progressToken); !ok && !k.progressToken.IsZero() {
		return InvalidParams.Because("progressToken must be a string or an integer of at most %d characters", maxID)
	}
	return nil
}

// folds says that a name is one of the known names but for its case.
func folds(name string) bool {
	for _, k := range []string{"_meta", "name", "uri", "arguments", "inputResponses", "requestState", "protocolVersion"} {
		if strings.EqualFold(name, k) {
			return true
		}
	}
	return false
}

// The methods below read a frame that [ParseFrame] gave; a frame made by hand has no params for them.

// Meta gives params._meta, an object; zero if there is none.
func (f Frame) Meta() canon.Value { return f.known.meta }

// ProgressToken gives the token under which the sender wants to hear of progress; the zero ID if it does not.
func (f Frame) ProgressToken() ID { return ID{f.known.progressToken} }

// Revision gives what the body says of its revision: in _meta, or in an initialize its wish. Empty if it says nothing.
func (f Frame) Revision() Revision {
	v, said := f.known.meta.Member(MetaProtocolVersion)
	if !said && f.Method == "initialize" {
		v = f.known.protocolVersion
	}
	s, _ := v.Text()
	return Revision(s)
}

// Target gives what a request aims at, where the specification says so: the name of a tool or prompt, the URI of a
// resource. ok is false for other methods, and where it is missing or no string.
func (f Frame) Target() (target string, ok bool) {
	switch f.Method {
	case "tools/call", "prompts/get":
		return f.known.name.Text()
	case "resources/read":
		return f.known.uri.Text()
	}
	return "", false
}

// Call is a tools/call.
type Call struct {
	Name           string      // as the client wrote it; not empty
	Arguments      canon.Value // always an object: {} if there were none
	InputResponses canon.Value // modern: answers to what was asked; an object or zero
	RequestState   string      // modern: what came with the question
}

// ToolCall gives the call of a tools/call. The error is a [*Error] with [InvalidParams].
func (f Frame) ToolCall() (Call, error) {
	c := Call{Arguments: f.known.arguments, InputResponses: f.known.inputResponses}
	var ok bool
	if c.Name, ok = f.known.name.Text(); !ok || c.Name == "" {
		return Call{}, InvalidParams.Because("name must be a string that is not empty")
	}
	if c.Arguments.IsZero() {
		c.Arguments = canon.Object()
	}
	if !c.Arguments.IsObject() {
		return Call{}, InvalidParams.Because("arguments must be an object")
	}
	if !c.InputResponses.IsZero() && !c.InputResponses.IsObject() {
		return Call{}, InvalidParams.Because("inputResponses must be an object")
	}
	if c.RequestState, ok = f.known.requestState.Text(); !ok && !f.known.requestState.IsZero() {
		return Call{}, InvalidParams.Because("requestState must be a string")
	}
	return c, nil
}
