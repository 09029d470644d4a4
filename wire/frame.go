// Package wire reads and writes what MCP sends over a connection: JSON-RPC 2.0 frames, revisions and eras, headers that
// repeat the body, error codes, server-sent events and lines. The entry and the upstream client both use it.
// It must never decide anything: it says what a frame is, not whether it is allowed.
//
// A frame is parsed once, strictly, into the canonical form of package canon; params, arguments and results are parts of
// that one text, so nothing that was not checked can be passed on. What is refused here although JSON-RPC would let it
// pass: members of a frame that JSON-RPC does not name (so "Method" beside "method" never reaches anyone who folds case),
// batches, ids that are null or not integers, params that are not an object.
//
// Sources: JSON-RPC 2.0; MCP revisions 2024-11-05 to 2026-07-28, chapters basic, transports and schema.
package wire

import "gatehouse/canon"

// Kind is what a frame is. The zero Kind is no frame.
type Kind uint8

// The kinds of JSON-RPC 2.0.
const (
	Request Kind = iota + 1
	Notification
	Response
	ErrorResponse
)

// String gives the kind in words.
func (k Kind) String() string {
	switch k {
	case Request:
		return "request"
	case Notification:
		return "notification"
	case Response:
		return "response"
	case ErrorResponse:
		return "error response"
	}
	return "no frame"
}

// Frame is one JSON-RPC message.
type Frame struct {
	Kind   Kind
	ID     ID          // of requests and responses; zero in an ErrorResponse to something that could not be read
	Method string      // of requests and notifications
	Params canon.Value // an object, or zero where there are none
	Result canon.Value // of a Response: any JSON value
	Error  *Error      // of an ErrorResponse

	known known // of Params, found when the frame was parsed
}

// ParseFrame takes exactly one frame. The error is a [*Error] with [ParseError], [InvalidRequest] or [InvalidParams], ready
// to be sent back; the Frame that comes with it holds the ID if that much could be read, and nothing else.
func ParseFrame(b []byte) (Frame, error) {
	v, err := canon.Parse(b)
	if err != nil {
		return Frame{}, parseError(err)
	}
	if !v.IsObject() {
		return Frame{}, InvalidRequest.Because("a frame must be one JSON object; batches are not spoken")
	}
	var f Frame
	var m parts
	if err := m.read(v, &f.ID); err != nil {
		return Frame{ID: f.ID}, err
	}
	if err := f.fill(&m); err != nil {
		return Frame{ID: f.ID}, err
	}
	return f, nil
}

// parts are the members of a frame as they came.
type parts struct {
	version, id, method, params, result, fail canon.Value
}

// read sorts the members and takes the id first, so that it is known to whoever answers a refusal.
func (m *parts) read(v canon.Value, id *ID) error {
	unknown := false
	for name, member := range v.Members {
		switch name {
		case "jsonrpc":
			m.version = member
		case "id":
			m.id = member
		case "method":
			m.method = member
		case "params":
			m.params = member
		case "result":
			m.result = member
		case "error":
			m.fail = member
		default:
			unknown = true
		}
	}
	idGood := m.id.IsZero()
	if !idGood {
		*id, idGood = idOf(m.id)
	}
	switch {
	case !idGood && !(m.id.String() == "null" && !m.fail.IsZero()):
		return InvalidRequest.Because("id must be a string or an integer of at most %d characters", maxID)
	case unknown:
		return InvalidRequest.Because("a frame has only the members jsonrpc, id, method, params, result and error")
	case m.version.String() != `"2.0"`:
		return InvalidRequest.Because(`jsonrpc must be "2.0"`)
	}
	return nil
}

// fill makes the frame of its parts, or says why they do not belong together.
func (f *Frame) fill(m *parts) error {
	answers := !m.result.IsZero() || !m.fail.IsZero()
	switch {
	case !m.method.IsZero() && answers:
		return InvalidRequest.Because("a frame has either a method or a result or an error")
	case !m.method.IsZero():
		return f.fillCall(m)
	case !m.params.IsZero():
		return InvalidRequest.Because("only a frame with a method has params")
	case !m.result.IsZero() && !m.fail.IsZero():
		return InvalidRequest.Because("a response has either a result or an error")
	case !m.result.IsZero():
		if f.ID.IsZero() {
			return InvalidRequest.Because("a response must have an id")
		}
		f.Kind, f.Result = Response, m.result
		return nil
	case !m.fail.IsZero():
		return f.fillError(m.fail)
	}
	return InvalidRequest.Because("a frame must have a method, a result or an error")
}

func (f *Frame) fillCall(m *parts) error {
	method, ok := m.method.Text()
	if !ok || method == "" {
		return InvalidRequest.Because("method must be a string that is not empty")
	}
	if !m.params.IsZero() && !m.params.IsObject() {
		return InvalidRequest.Because("params must be an object")
	}
	f.Kind, f.Method, f.Params = Request, method, m.params
	if f.ID.IsZero() {
		f.Kind = Notification
	}
	return f.known.read(f.Params)
}

func (f *Frame) fillError(v canon.Value) error {
	e := &Error{}
	var code, message bool
	for name, member := range v.Members {
		switch name {
		case "code":
			e.Code, code = codeOf(member)
		case "message":
			e.Message, message = member.Text()
		case "data":
			e.Data = member
		}
	}
	if !code || !message {
		return InvalidRequest.Because("an error must have a code that is an integer and a message that is a string")
	}
	f.Kind, f.Error = ErrorResponse, e
	return nil
}
