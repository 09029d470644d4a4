package wire_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/canon"
	"gatehouse/wire"
)

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

func TestEraOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, header, method, params string
		want                         wire.Era
	}{
		{"nothing said", "", "tools/list", `{}`, wire.Legacy},
		{"legacy header", "2025-06-18", "tools/list", `{}`, wire.Legacy},
		{"modern header alone", "2026-07-28", "tools/list", `{}`, wire.Modern},
		{"modern body alone", "", "tools/list", `{` + modernMeta + `}`, wire.Modern},
		{"legacy header, modern body", "2025-11-25", "tools/list", `{` + modernMeta + `}`, wire.Modern},
		{"a later day", "2027-01-01", "tools/list", `{}`, wire.Modern},
		{"no day", "latest", "tools/list", `{}`, wire.Legacy},
		{"almost a day", "2026-07-2x", "tools/list", `{}`, wire.Legacy},
		{"longer than a day", "2026-07-28x", "tools/list", `{}`, wire.Legacy},
		{"version in the body is no string", "", "tools/list", `{"_meta":{"io.modelcontextprotocol/protocolVersion":7}}`, wire.Modern},
		{"initialize", "2026-07-28", "initialize", `{"protocolVersion":"2026-07-28"}`, wire.Legacy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := frame(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, tt.method, tt.params))
			if got := wire.EraOf(tt.header, f); got != tt.want {
				t.Errorf("EraOf(%q, %s) = %s, want %s", tt.header, tt.params, got, tt.want)
			}
		})
	}
}

func TestInitialize(t *testing.T) {
	t.Parallel()
	for wish, want := range map[wire.Revision]wire.Revision{
		"2024-11-05": "2024-11-05", "2025-06-18": "2025-06-18", "2025-11-25": "2025-11-25",
		"2026-07-28": "2025-11-25", "2030-01-01": "2025-11-25", "2025-01-01": "2025-11-25", "": "2025-11-25",
	} {
		if got := wish.Initialize(); got != want {
			t.Errorf("initialize %q is answered %q, want %q", wish, got, want)
		}
	}
	f := frame(t, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`)
	if f.Revision() != wire.R20250618 {
		t.Errorf("the wish is %q", f.Revision())
	}
	for i, r := range wire.Revisions() {
		if !r.Spoken() || i > 0 && r >= wire.Revisions()[i-1] || r.Era() == wire.Modern != (r == wire.R20260728) {
			t.Errorf("revision %s", r)
		}
	}
}

func TestCheckModern(t *testing.T) {
	t.Parallel()
	for params, want := range map[string]wire.Code{
		`{` + modernMeta + `}`: 0,
		`{}`:                   wire.InvalidParams,
		`{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}`:                                                        wire.InvalidParams,
		`{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`:                                                 wire.InvalidParams,
		`{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":[]}}`: wire.InvalidParams,
		`{"_meta":{"io.modelcontextprotocol/protocolVersion":1,"io.modelcontextprotocol/clientCapabilities":{}}}`:            wire.InvalidParams,
		`{"_meta":{"io.modelcontextprotocol/protocolVersion":"2027-01-01","io.modelcontextprotocol/clientCapabilities":{}}}`: wire.UnsupportedVersion,
		`{"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25","io.modelcontextprotocol/clientCapabilities":{}}}`: wire.UnsupportedVersion,
	} {
		if err := wire.CheckModern(frame(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":`+params+`}`)); code(err) != want {
			t.Errorf("CheckModern(%s) = %v, want %d", params, err, want)
		}
	}
	want := `{"requested":"x\"","supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]}`
	if got := wire.Unsupported(`x"`).Data.String(); got != want {
		t.Errorf("data of unsupported is %s, want %s", got, want)
	}
}

func TestCheckHeaders(t *testing.T) {
	t.Parallel()
	call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,` + modernMeta + `}}`
	const version, method, name = wire.HeaderProtocolVersion, wire.HeaderMethod, wire.HeaderName
	good := func() http.Header {
		return http.Header{version: {"2026-07-28"}, method: {"tools/call"}, name: {"files__read"}}
	}
	with := func(header string, values ...string) http.Header {
		h := good()
		h[header] = values
		return h
	}
	for _, tt := range []struct {
		name   string
		header http.Header
		tool   string
		want   wire.Code
	}{
		{"all the same", good(), "files__read", 0},
		{"encoded", with(name, "=?base64?ZmlsZXNfX3JlYWQ=?="), "files__read", 0},
		{"encoded, not ASCII", with(name, "=?base64?5LiW55WM?="), "世界", 0},
		{"another name", good(), "files__write", wire.HeaderMismatch},
		{"case of the name", with(name, "Files__read"), "files__read", wire.HeaderMismatch},
		{"encoded, another name", with(name, "=?base64?ZmlsZXNfX3JlYWQ=?="), "files__write", wire.HeaderMismatch},
		{"encoded, the marks in the body", with(name, "=?base64?ZmlsZXNfX3JlYWQ=?="), "=?base64?ZmlsZXNfX3JlYWQ=?=", wire.HeaderMismatch},
		{"encoded without padding", with(name, "=?base64?ZmlsZXNfX3JlYWQ?="), "files__read", wire.HeaderMismatch},
		{"encoded twice differently", with(name, "=?base64?ZmlsZXNfX3JlYWR=?="), "files__read", wire.HeaderMismatch},
		{"encoded, upper-case mark", with(name, "=?BASE64?ZmlsZXNfX3JlYWQ=?="), "files__read", wire.HeaderMismatch},
		{"encoded, not UTF-8", with(name, "=?base64?/w==?="), "\ufffd", wire.HeaderMismatch},
		{"not ASCII", with(name, "世界"), "世界", wire.HeaderMismatch},
		{"not ASCII, empty in the body", with(name, "世"), "", wire.HeaderMismatch},
		{"no name", with(name), "files__read", wire.HeaderMismatch},
		{"empty name", with(name, ""), "files__read", wire.HeaderMismatch},
		{"two names", with(name, "files__read", "files__read"), "files__read", wire.HeaderMismatch},
		{"another method", with(method, "tools/list"), "files__read", wire.HeaderMismatch},
		{"no method", with(method), "files__read", wire.HeaderMismatch},
		{"two methods", with(method, "tools/call", "tools/list"), "files__read", wire.HeaderMismatch},
		{"another version", with(version, "2025-11-25"), "files__read", wire.HeaderMismatch},
		{"no version", with(version), "files__read", wire.HeaderMismatch},
		{"two versions", with(version, "2026-07-28", "2025-11-25"), "files__read", wire.HeaderMismatch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := wire.CheckHeaders(tt.header, frame(t, fmt.Sprintf(call, tt.tool))); code(err) != tt.want {
				t.Errorf("CheckHeaders(%v) for %q = %v, want %d", tt.header, tt.tool, err, tt.want)
			}
		})
	}
	noName := frame(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{`+modernMeta+`}}`)
	if err := wire.CheckHeaders(good(), noName); code(err) != wire.InvalidParams {
		t.Errorf("a call without a name: %v", err)
	}
	silent := frame(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"protocolVersion":"2026-07-28"}}`)
	for _, versions := range [][]string{nil, {"", ""}, {"2026-07-28"}} {
		if err := wire.CheckHeaders(http.Header{version: versions, method: {"tools/list"}}, silent); code(err) != wire.HeaderMismatch {
			t.Errorf("versions %q for a body that says none: %v", versions, err)
		}
	}
	list := frame(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+modernMeta+`}}`)
	if err := wire.CheckHeaders(http.Header{version: {"2026-07-28"}, method: {"tools/list"}}, list); err != nil {
		t.Errorf("a list needs no name: %v", err)
	}
	h := good()
	if wire.SetHeaders(h, wire.R20260728, "tools/list", ""); h.Get(name) != "" {
		t.Errorf("a stale name stays: %v", h)
	}
}

// TestHeadersSurvive: whatever a body holds, its header is a header and comes back as it was.
func TestHeadersSurvive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", " a", "a\t", "=?base64?x?=", "=?base64?=", "=?base64??=", "\r\nX: y", "世"})).Draw(t, "value")
		e := wire.EncodeHeader(s)
		if strings.TrimSpace(e) != e || strings.ContainsFunc(e, func(r rune) bool { return r < 0x20 && r != '\t' || r > 0x7e }) {
			t.Fatalf("EncodeHeader(%q) = %q is no header", s, e)
		}
		if got, ok := wire.DecodeHeader(e); !ok || got != s {
			t.Fatalf("%q came back as %q, %v", s, got, ok)
		}
		h := http.Header{}
		wire.SetHeaders(h, wire.R20260728, "tools/call", s)
		body := wire.AppendRequest(nil, wire.IntID(1), "tools/call", `{"name":`+string(canon.AppendString(nil, s))+`,`+modernMeta+`}`)
		f, err := wire.ParseFrame(body)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if err := wire.CheckHeaders(h, f); err != nil {
			t.Fatalf("headers %v of %s: %v", h, body, err)
		}
	})
}

// TestSpecificationsExamples are the table "Encoding examples" of 2026-07-28, transports/streamable-http.
func TestSpecificationsExamples(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"us-west1": "us-west1", "Hello, 世界": "=?base64?SGVsbG8sIOS4lueVjA==?=", " padded ": "=?base64?IHBhZGRlZCA=?=",
		"line1\nline2": "=?base64?bGluZTEKbGluZTI=?=", "=?base64?literal?=": "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=",
	} {
		if got := wire.EncodeHeader(in); got != want {
			t.Errorf("EncodeHeader(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDecodeHeaderRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"=?base64?/w==?=", "=?base64?YQ?=", "=?base64?YR==?=", "=?base64?Y Q==?=", "a\x00", "\x7f", "é", "a\nb"} {
		if s, ok := wire.DecodeHeader(bad); ok {
			t.Errorf("DecodeHeader(%q) = %q", bad, s)
		}
	}
}

func value(t *testing.T, text string) canon.Value {
	t.Helper()
	v, err := canon.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParamHeaders(t *testing.T) {
	t.Parallel()
	schema := value(t, `{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"},
		"deep":{"type":"object","properties":{"on/off":{"type":"boolean","x-mcp-header":"On"}}},"free":{"type":"string"}}}`)
	wanted, err := wire.ParamHeaders(schema)
	if err != nil || fmt.Sprint(wanted) != "[{Mcp-Param-On /deep/on~1off boolean} {Mcp-Param-N /n integer} {Mcp-Param-Region /region string}]" {
		t.Fatalf("ParamHeaders = %v, %v", wanted, err)
	}
	arguments := value(t, `{"region":"Zürich","n":42,"deep":{"on/off":true}}`)
	h := http.Header{"Mcp-Param-N": {"stale"}}
	if err := wire.SetParamHeaders(h, wanted, arguments); err != nil || h.Get("Mcp-Param-Region") != "=?base64?WsO8cmljaA==?=" || h.Get("mcp-param-on") != "true" {
		t.Fatalf("headers %v, %v", h, err)
	}
	if err := wire.CheckParamHeaders(h, wanted, arguments); err != nil {
		t.Errorf("what was set does not match: %v", err)
	}
	for _, tt := range []struct {
		name, header, value, arguments string
		want                           wire.Code
	}{
		{"42.0 is 42", "Mcp-Param-N", "42.0", arguments.String(), 0},
		{"43", "Mcp-Param-N", "43", arguments.String(), wire.HeaderMismatch},
		{"no number", "Mcp-Param-N", "x", arguments.String(), wire.HeaderMismatch},
		{"no header", "Mcp-Param-N", "", arguments.String(), wire.HeaderMismatch},
		{"another text", "Mcp-Param-Region", "Bern", arguments.String(), wire.HeaderMismatch},
		{"badly encoded", "Mcp-Param-Region", "=?base64?*?=", arguments.String(), wire.HeaderMismatch},
		{"another boolean", "Mcp-Param-On", "false", arguments.String(), wire.HeaderMismatch},
		{"argument is null", "Mcp-Param-N", "42", `{"region":"Zürich","n":null,"deep":{"on/off":true}}`, wire.HeaderMismatch},
		{"argument is null, header too", "Mcp-Param-N", "", `{"region":"Zürich","n":null,"deep":{"on/off":true}}`, 0},
		{"argument is absent", "Mcp-Param-N", "", `{"region":"Zürich","deep":{"on/off":true}}`, 0},
		{"an empty text without a header", "Mcp-Param-Region", "", `{"region":"","n":42,"deep":{"on/off":true}}`, wire.HeaderMismatch},
		{"an empty text, badly encoded", "Mcp-Param-Region", "=?base64?*?=", `{"region":"","n":42,"deep":{"on/off":true}}`, wire.HeaderMismatch},
		{"a text for an integer", "Mcp-Param-N", "42", `{"region":"Zürich","n":"42","deep":{"on/off":true}}`, wire.HeaderMismatch},
		{"beyond what JavaScript holds", "Mcp-Param-N", "9007199254740992", `{"region":"Zürich","n":9007199254740992,"deep":{"on/off":true}}`, wire.HeaderMismatch},
		{"just what JavaScript holds", "Mcp-Param-N", "-9007199254740991", `{"region":"Zürich","n":-9007199254740991,"deep":{"on/off":true}}`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := h.Clone()
			if h.Set(tt.header, tt.value); tt.value == "" {
				h.Del(tt.header)
			}
			if err := wire.CheckParamHeaders(h, wanted, value(t, tt.arguments)); code(err) != tt.want {
				t.Errorf("CheckParamHeaders = %v, want %d", err, tt.want)
			}
		})
	}
	twice := h.Clone()
	twice["Mcp-Param-Region"] = []string{"", ""}
	if err := wire.CheckParamHeaders(twice, wanted, value(t, `{"region":"","n":42,"deep":{"on/off":true}}`)); code(err) != wire.HeaderMismatch {
		t.Errorf("a header that stands there twice: %v", err)
	}
	stale := h.Clone()
	if err := wire.SetParamHeaders(stale, wanted, value(t, `{"n":null}`)); err != nil || len(stale) != 0 {
		t.Errorf("stale headers stay: %v, %v", stale, err)
	}
	if err := wire.SetParamHeaders(h.Clone(), wanted, value(t, `{"n":1.5}`)); code(err) != wire.InvalidParams {
		t.Errorf("a fraction went into a header: %v", err)
	}
	for _, bad := range []string{
		`{"x-mcp-header":"","type":"string"}`, `{"x-mcp-header":"a b","type":"string"}`, `{"x-mcp-header":"a\r\nb","type":"string"}`, `{"x-mcp-header":1,"type":"string"}`,
		`{"x-mcp-header":"ü","type":"string"}`, `{"x-mcp-header":"A","type":"number"}`, `{"x-mcp-header":"A","type":"object"}`, `{"x-mcp-header":"A","type":["string","null"]}`,
		`{"x-mcp-header":"A"}`, `{"type":"object","properties":{"y":{"x-mcp-header":"","type":"string"}}}`, `{"x-mcp-header":"rEGION","type":"string"}`,
	} {
		_, err := wire.ParamHeaders(value(t, `{"properties":{"a":{"type":"string","x-mcp-header":"Region"},"x":`+bad+`}}`))
		if code(err) != wire.InvalidParams {
			t.Errorf("the mark %s passed: %v", bad, err)
		}
	}
}
