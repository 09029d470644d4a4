package wire

import (
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"

	"gatehouse/canon"
)

// Headers of the streamable HTTP transport, in Go's canonical spelling.
const (
	HeaderProtocolVersion = "Mcp-Protocol-Version"
	HeaderMethod          = "Mcp-Method"
	HeaderName            = "Mcp-Name"
	HeaderParam           = "Mcp-Param-" // + the name that the schema gives with x-mcp-header
	HeaderSession         = "Mcp-Session-Id"
)

// CheckModern checks what every request and notification of the modern era must bring in its body. Errors are [*Error]:
// [InvalidParams], or [UnsupportedVersion] for a revision that is not modern and spoken. HTTP 400 for both.
func CheckModern(f Frame) error {
	v, _ := f.known.meta.Member(MetaProtocolVersion)
	version, ok := v.Text()
	if !ok {
		return InvalidParams.Because("params._meta must hold %s", MetaProtocolVersion)
	}
	if capabilities, _ := f.known.meta.Member(MetaClientCapabilities); f.Kind == Request && !capabilities.IsObject() {
		return InvalidParams.Because("params._meta must hold %s, an object", MetaClientCapabilities)
	}
	if r := Revision(version); r.Era() != Modern || !r.Spoken() {
		return Unsupported(r)
	}
	return nil
}

// Unsupported is the error for a revision that is not spoken, with the list of those that are.
func Unsupported(requested Revision) *Error {
	e := UnsupportedVersion.Because("this protocol version is not supported")
	data := []byte(`{"requested":`)
	data = canon.AppendString(data, string(requested))
	data = append(data, `,"supported":[`...)
	for i, r := range Revisions() {
		if i > 0 {
			data = append(data, ',')
		}
		data = canon.AppendString(data, string(r))
	}
	e.Data, _ = canon.Parse(append(data, "]}"...)) // made of quoted strings: it parses
	return e
}

// CheckHeaders compares the headers of a modern request or notification with its body, so that whoever routed by the
// headers saw the same call. Each must stand there exactly once. The error is a [*Error] with [HeaderMismatch], HTTP 400.
// What a schema marks with x-mcp-header is checked by [CheckParamHeaders].
func CheckHeaders(h http.Header, f Frame) error {
	if err := checkHeader(h, HeaderProtocolVersion, string(f.Revision())); err != nil {
		return err
	}
	if err := checkHeader(h, HeaderMethod, f.Method); err != nil {
		return err
	}
	switch f.Method {
	case "tools/call", "prompts/get", "resources/read":
		target, ok := f.Target()
		if !ok {
			return InvalidParams.Because("%s needs a name or uri", f.Method)
		}
		return checkHeader(h, HeaderName, target)
	}
	return nil
}

func checkHeader(h http.Header, name, body string) error {
	got, n := headerText(h, name)
	switch {
	case n == 0:
		return HeaderMismatch.Because("header %s is missing", name)
	case n > 1:
		return HeaderMismatch.Because("header %s must stand there once", name)
	}
	value, ok := DecodeHeader(got)
	if !ok {
		return HeaderMismatch.Because("header %s is badly encoded", name)
	}
	if value != body {
		return HeaderMismatch.Because("header %s does not match the body", name)
	}
	return nil
}

// headerText gives a header's value and how often the header stands there.
func headerText(h http.Header, name string) (string, int) {
	values := h.Values(name)
	if len(values) != 1 {
		return "", len(values)
	}
	return values[0], 1
}

// The marks around a header's value that is base64 (MCP 2026-07-28, transports/streamable-http, Value Encoding).
const encodedBegin, encodedEnd = "=?base64?", "?="

// DecodeHeader undoes [EncodeHeader]. ok is false for characters that a header must not hold, for base64 that is not
// exact, and for what is not UTF-8 when decoded.
func DecodeHeader(value string) (s string, ok bool) {
	if !plainHeader(value) {
		return "", false
	}
	inner, marked := marked(value)
	if !marked {
		return value, true
	}
	b, err := base64.StdEncoding.Strict().DecodeString(inner)
	if err != nil || !utf8.Valid(b) {
		return "", false
	}
	return string(b), true
}

// EncodeHeader gives s in a form that survives as a header's value: as it is, or as =?base64?…?=.
func EncodeHeader(s string) string {
	_, looksEncoded := marked(s)
	if plainHeader(s) && strings.Trim(s, " \t") == s && !looksEncoded {
		return s
	}
	return encodedBegin + base64.StdEncoding.EncodeToString([]byte(s)) + encodedEnd
}

func marked(s string) (inner string, ok bool) {
	if len(s) < len(encodedBegin)+len(encodedEnd) || !strings.HasPrefix(s, encodedBegin) || !strings.HasSuffix(s, encodedEnd) {
		return "", false
	}
	return s[len(encodedBegin) : len(s)-len(encodedEnd)], true
}

// plainHeader says that s holds nothing but visible ASCII, spaces and tabs.
func plainHeader(s string) bool {
	for i := range len(s) {
		if s[i] != '\t' && (s[i] < 0x20 || s[i] > 0x7E) {
			return false
		}
	}
	return true
}

// SetHeaders sets on an outgoing modern request the headers that repeat its body.
func SetHeaders(h http.Header, r Revision, method, target string) {
	h.Set(HeaderProtocolVersion, string(r))
	h.Set(HeaderMethod, EncodeHeader(method))
	h.Del(HeaderName)
	switch method {
	case "tools/call", "prompts/get", "resources/read":
		h.Set(HeaderName, EncodeHeader(target))
	}
}
