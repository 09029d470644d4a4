package wire_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatehouse/wire"
)

func frame(t *testing.T, text string) wire.Frame {
	t.Helper()
	f, err := wire.ParseFrame([]byte(text))
	if err != nil {
		t.Fatalf("ParseFrame(%s): %v", text, err)
	}
	return f
}

// code gives the code of an error, 0 for none.
func code(err error) wire.Code {
	var e *wire.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestParseFrame(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in       string
		kind           wire.Kind
		id, method     string
		params, result string
		err            string
	}{
		{"request", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, wire.Request, "1", "tools/list", "", "", ""},
		{"request with params", `{"method":"m","params":{"b":1,"a":2},"id":"x","jsonrpc":"2.0"}`, wire.Request, `"x"`, "m", `{"a":2,"b":1}`, "", ""},
		{"notification", `{"jsonrpc":"2.0","method":"n","params":{}}`, wire.Notification, "null", "n", "{}", "", ""},
		{"response", `{"jsonrpc":"2.0","id":-7,"result":{"big":12345678901234567890,"x":[]}}`, wire.Response, "-7", "", "", `{"big":12345678901234567890,"x":[]}`, ""},
		{"null as a result", `{"jsonrpc":"2.0","id":0,"result":null}`, wire.Response, "0", "", "", "null", ""},
		{"error", `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no","data":[1],"more":1}}`, wire.ErrorResponse, "1", "", "", "", "-32601 no"},
		{"error without an id", `{"jsonrpc":"2.0","error":{"code":1,"message":""}}`, wire.ErrorResponse, "null", "", "", "", "1 "},
		{"error with the id null", `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}`, wire.ErrorResponse, "null", "", "", "", "-32700 x"},
		{"id 1.0 is 1", `{"jsonrpc":"2.0","id":1.0,"method":"m"}`, wire.Request, "1", "m", "", "", ""},
		{"id of 256 characters", `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 254) + `","method":"m"}`, wire.Request, `"` + strings.Repeat("x", 254) + `"`, "m", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := frame(t, tt.in)
			got := ""
			if f.Error != nil {
				got = f.Error.Error()
			}
			if f.Kind != tt.kind || f.ID.String() != tt.id || f.Method != tt.method || f.Params.String() != tt.params || f.Result.String() != tt.result || got != tt.err {
				t.Errorf("ParseFrame(%s) = %s, id %s, method %q, params %s, result %s, error %q", tt.in, f.Kind, f.ID, f.Method, f.Params, f.Result, got)
			}
		})
	}
}

func TestParseFrameRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		code     wire.Code
		id       string
	}{
		{"not JSON", `{`, wire.ParseError, "null"},
		{"duplicate id", `{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}`, wire.ParseError, "null"},
		{"duplicate deep in params", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":{"b":1,"\u0062":2}}}`, wire.ParseError, "null"},
		{"byte order mark", "\xef\xbb\xbf" + `{"jsonrpc":"2.0","id":1,"method":"m"}`, wire.ParseError, "null"},
		{"trailing bytes", `{"jsonrpc":"2.0","id":1,"method":"m"}{}`, wire.ParseError, "null"},
		{"name with U+0000", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"name\u0000":1}}`, wire.ParseError, "null"},
		{"1e400", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"n":1e400}}`, wire.ParseError, "null"},
		{"batch", `[{"jsonrpc":"2.0","id":1,"method":"m"}]`, wire.InvalidRequest, "null"},
		{"empty batch", `[]`, wire.InvalidRequest, "null"},
		{"a string", `"x"`, wire.InvalidRequest, "null"},
		{"nothing in it", `{}`, wire.InvalidRequest, "null"},
		{"no jsonrpc", `{"id":1,"method":"m"}`, wire.InvalidRequest, "1"},
		{"jsonrpc 1.0", `{"jsonrpc":"1.0","id":1,"method":"m"}`, wire.InvalidRequest, "1"},
		{"jsonrpc 2", `{"jsonrpc":2,"id":1,"method":"m"}`, wire.InvalidRequest, "1"},
		{"id null", `{"jsonrpc":"2.0","id":null,"method":"m"}`, wire.InvalidRequest, "null"},
		{"id 1.5", `{"jsonrpc":"2.0","id":1.5,"method":"m"}`, wire.InvalidRequest, "null"},
		{"id 1e30", `{"jsonrpc":"2.0","id":1e30,"method":"m"}`, wire.InvalidRequest, "null"},
		{"id true", `{"jsonrpc":"2.0","id":true,"method":"m"}`, wire.InvalidRequest, "null"},
		{"id an object", `{"jsonrpc":"2.0","id":{},"method":"m"}`, wire.InvalidRequest, "null"},
		{"id too long", `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 255) + `","method":"m"}`, wire.InvalidRequest, "null"},
		{"null id of a response", `{"jsonrpc":"2.0","id":null,"result":{}}`, wire.InvalidRequest, "null"},
		{"Method beside method", `{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call"}`, wire.InvalidRequest, "1"},
		{"Method alone", `{"jsonrpc":"2.0","id":1,"Method":"m"}`, wire.InvalidRequest, "1"},
		{"an unknown member", `{"jsonrpc":"2.0","id":1,"method":"m","extra":1}`, wire.InvalidRequest, "1"},
		{"method a number", `{"jsonrpc":"2.0","id":1,"method":1}`, wire.InvalidRequest, "1"},
		{"method empty", `{"jsonrpc":"2.0","id":1,"method":""}`, wire.InvalidRequest, "1"},
		{"method null", `{"jsonrpc":"2.0","id":1,"method":null}`, wire.InvalidRequest, "1"},
		{"params an array", `{"jsonrpc":"2.0","id":1,"method":"m","params":[]}`, wire.InvalidRequest, "1"},
		{"params null", `{"jsonrpc":"2.0","id":1,"method":"m","params":null}`, wire.InvalidRequest, "1"},
		{"method and result", `{"jsonrpc":"2.0","id":1,"method":"m","result":{}}`, wire.InvalidRequest, "1"},
		{"method and error", `{"jsonrpc":"2.0","id":1,"method":"m","error":{"code":1,"message":""}}`, wire.InvalidRequest, "1"},
		{"result and error", `{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}`, wire.InvalidRequest, "1"},
		{"result and params", `{"jsonrpc":"2.0","id":1,"result":{},"params":{}}`, wire.InvalidRequest, "1"},
		{"result without an id", `{"jsonrpc":"2.0","result":{}}`, wire.InvalidRequest, "null"},
		{"only an id", `{"jsonrpc":"2.0","id":1}`, wire.InvalidRequest, "1"},
		{"error without a code", `{"jsonrpc":"2.0","id":1,"error":{"message":""}}`, wire.InvalidRequest, "1"},
		{"error without a message", `{"jsonrpc":"2.0","id":1,"error":{"code":1}}`, wire.InvalidRequest, "1"},
		{"error with a fraction", `{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":""}}`, wire.InvalidRequest, "1"},
		{"error a string", `{"jsonrpc":"2.0","id":1,"error":"x"}`, wire.InvalidRequest, "1"},
		{"error null", `{"jsonrpc":"2.0","id":1,"error":null}`, wire.InvalidRequest, "1"},
		{"_meta an array", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":[]}}`, wire.InvalidParams, "1"},
		{"_Meta", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_Meta":{}}}`, wire.InvalidParams, "1"},
		{"Name beside name", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}`, wire.InvalidParams, "1"},
		{"Arguments", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Arguments":{}}}`, wire.InvalidParams, "1"},
		{"Name by Unicode folding", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","argument` + "\u017f" + `":{}}}`, wire.InvalidParams, "1"},
		{"progressToken null", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToken":null}}}`, wire.InvalidParams, "1"},
		{"progressToken a fraction", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToken":1.5}}}`, wire.InvalidParams, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := wire.ParseFrame([]byte(tt.in))
			if code(err) != tt.code || f.ID.String() != tt.id || f.Kind != 0 || f.Method != "" || !f.Params.IsZero() {
				t.Errorf("ParseFrame(%s) = %+v, %v; want %d with id %s", tt.in, f, err, tt.code, tt.id)
			}
		})
	}
}

func TestBatchesAreNamed(t *testing.T) {
	t.Parallel()
	if _, err := wire.ParseFrame([]byte(`[]`)); err == nil || !strings.Contains(err.Error(), "batches") {
		t.Errorf("a batch is refused with %v", err)
	}
}

func TestKindsHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for k := range wire.ErrorResponse + 1 {
		if k.String() == "" || seen[k.String()] {
			t.Errorf("kind %d is named %q", k, k)
		}
		seen[k.String()] = true
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	one := frame(t, `{"jsonrpc":"2.0","id":1,"method":"m"}`).ID
	text := frame(t, `{"jsonrpc":"2.0","id":"1","method":"m"}`).ID
	if one == text || one != wire.IntID(1) || one.IsZero() || !(wire.ID{}).IsZero() {
		t.Errorf("ids: %s and %s", one, text)
	}
	if n, ok := wire.IntID(-5).Int(); !ok || n != -5 {
		t.Errorf("IntID(-5).Int() = %d, %v", n, ok)
	}
	if n, ok := text.Int(); ok {
		t.Errorf("a string is the number %d", n)
	}
}

func TestToolCall(t *testing.T) {
	t.Parallel()
	f := frame(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"gmail__send","arguments":{"to":["b"],"n":12345678901234567890},`+
		`"_meta":{"progressToken":7,"traceparent":"00-1"},"inputResponses":{"a":{}},"requestState":"s","task":{}}}`)
	c, err := f.ToolCall()
	if err != nil || c.Name != "gmail__send" || c.Arguments.String() != `{"n":12345678901234567890,"to":["b"]}` ||
		c.InputResponses.String() != `{"a":{}}` || c.RequestState != "s" {
		t.Errorf("ToolCall = %+v, %v", c, err)
	}
	if f.ProgressToken() != wire.IntID(7) || f.Meta().String() != `{"progressToken":7,"traceparent":"00-1"}` {
		t.Errorf("token %s, meta %s", f.ProgressToken(), f.Meta())
	}
	c, err = frame(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`).ToolCall()
	if err != nil || c.Arguments.String() != "{}" {
		t.Errorf("without arguments: %+v, %v", c, err)
	}
	for _, params := range []string{
		`{}`, `{"name":""}`, `{"name":1}`, `{"name":"x","arguments":null}`, `{"name":"x","arguments":[]}`, `{"name":"x","arguments":"{}"}`,
		`{"name":"x","inputResponses":[]}`, `{"name":"x","requestState":1}`,
	} {
		c, err := frame(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":`+params+`}`).ToolCall()
		if code(err) != wire.InvalidParams || c.Name != "" {
			t.Errorf("ToolCall of %s = %+v, %v; want %d", params, c, err, wire.InvalidParams)
		}
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]string{"tools/call": "n", "prompts/get": "n", "resources/read": "u", "tools/list": ""} {
		f := frame(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{"name":"n","uri":"u"}}`, method))
		if got, ok := f.Target(); got != want || ok != (want != "") {
			t.Errorf("Target of %s = %q, %v; want %q", method, got, ok, want)
		}
	}
}

// TestWritersAreRead: what is written is one line and reads back as the same frame.
func TestWritersAreRead(t *testing.T) {
	t.Parallel()
	data := frame(t, `{"jsonrpc":"2.0","id":1,"result":[1]}`).Result
	for name, b := range map[string][]byte{
		"request":       wire.AppendRequest(nil, wire.IntID(1), "a\n\"b", `{"x":1}`),
		"bare request":  wire.AppendRequest(nil, wire.IntID(1), "m", ""),
		"notification":  wire.AppendNotification(nil, "m", []byte(`{}`)),
		"result":        wire.AppendResult(nil, wire.IntID(1), `{"y":"\n"}`),
		"empty result":  wire.AppendResult(nil, wire.IntID(1), ""),
		"error":         wire.AppendError(nil, wire.IntID(1), &wire.Error{Code: -32000, Message: "a\nb\xff", Data: data}),
		"error, no id":  wire.AppendError(nil, wire.ID{}, wire.ParseError.Because("%s", "x")),
		"error, string": wire.AppendError(nil, frame(t, `{"jsonrpc":"2.0","id":"a\nb","method":"m"}`).ID, wire.ParseError.Because("x")),
	} {
		f, err := wire.ParseFrame(b)
		if err != nil || strings.ContainsAny(string(b), "\r\n") {
			t.Errorf("%s: wrote %s: %v", name, b, err)
			continue
		}
		var again []byte
		switch f.Kind {
		case wire.Request:
			again = wire.AppendRequest(nil, f.ID, f.Method, f.Params.String())
		case wire.Notification:
			again = wire.AppendNotification(nil, f.Method, f.Params.String())
		case wire.Response:
			again = wire.AppendResult(nil, f.ID, f.Result.String())
		case wire.ErrorResponse:
			again = wire.AppendError(nil, f.ID, f.Error)
		}
		if string(again) != string(b) {
			t.Errorf("%s: wrote %s, then %s", name, b, again)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__b","arguments":{"x":[1,"y"]},"_meta":{"progressToken":"t"}}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`, `{"jsonrpc":"2.0","id":"x","result":{}}`, `[]`,
		`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x","data":null}}`, `{"jsonrpc":"2.0","id":1,"method":"m","Method":"n"}`,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, err := wire.ParseFrame(b)
		if err != nil {
			if c := code(err); c != wire.ParseError && c != wire.InvalidRequest && c != wire.InvalidParams {
				t.Fatalf("refused with %v", err)
			}
			if fr.Kind != 0 || fr.Error != nil {
				t.Fatalf("a refused frame is a %s", fr.Kind)
			}
			answer := wire.AppendError(nil, fr.ID, wire.InvalidRequest.Because("%v", err))
			if _, err := wire.ParseFrame(answer); err != nil {
				t.Fatalf("the answer %s is no frame: %v", answer, err)
			}
			return
		}
		hasMethod, answers := fr.Method != "", !fr.Result.IsZero() || fr.Error != nil
		if hasMethod == answers || fr.Kind == 0 || (fr.Kind == wire.Request || fr.Kind == wire.Response) && fr.ID.IsZero() {
			t.Fatalf("%s is a %s: %+v", b, fr.Kind, fr)
		}
		if c, err := fr.ToolCall(); err == nil && (c.Name == "" || !c.Arguments.IsObject()) {
			t.Fatalf("%s has the call %+v", b, c)
		}
	})
}
