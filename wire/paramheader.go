package wire

import (
	"net/http"
	"strings"

	"gatehouse/canon"
)

// ParamHeader is one argument of a tool that its schema wants repeated in a header.
type ParamHeader struct {
	Header  string // the whole header, Mcp-Param-…
	Pointer string // JSON Pointer of the argument in the arguments
	Type    string // string, integer or boolean
}

// ParamHeaders finds what an input schema marks with x-mcp-header, at any depth of properties, in the order of the schema's
// canonical text. The error is a [*Error] with [InvalidParams] for a mark that the specification forbids: then the tool
// must be left out.
func ParamHeaders(schema canon.Value) ([]ParamHeader, error) {
	return paramHeaders(nil, schema, "")
}

func paramHeaders(found []ParamHeader, schema canon.Value, pointer string) ([]ParamHeader, error) {
	properties, _ := schema.Member("properties")
	var err error
	for name, property := range properties.Members {
		here := pointer + "/" + canon.PointerToken(name)
		if mark, marked := property.Member("x-mcp-header"); marked {
			p, good := paramHeader(mark, property, here)
			if !good || taken(found, p.Header) {
				return nil, InvalidParams.Because("%s: x-mcp-header must be a new header name on a string, an integer or a boolean", here)
			}
			found = append(found, p)
		}
		if found, err = paramHeaders(found, property, here); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func paramHeader(mark, property canon.Value, pointer string) (ParamHeader, bool) {
	name, _ := mark.Text()
	v, _ := property.Member("type")
	kind, _ := v.Text()
	good := isToken(name) && (kind == "string" || kind == "integer" || kind == "boolean")
	return ParamHeader{Header: HeaderParam + name, Pointer: pointer, Type: kind}, good
}

func taken(found []ParamHeader, header string) bool {
	for _, p := range found {
		if strings.EqualFold(p.Header, header) {
			return true
		}
	}
	return false
}

// isToken says that s is a token of RFC 9110 §5.6.2, as names of headers are.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// CheckParamHeaders compares the headers that a schema asks for with the arguments. An argument that is absent or null has
// no header. The error is a [*Error] with [HeaderMismatch].
func CheckParamHeaders(h http.Header, wanted []ParamHeader, arguments canon.Value) error {
	for _, p := range wanted {
		got, n := headerText(h, p.Header)
		v, ok := arguments.Lookup(p.Pointer)
		if !ok || v.String() == "null" {
			if n > 0 {
				return HeaderMismatch.Because("header %s stands for an argument that is not there", p.Header)
			}
			continue
		}
		value, good := DecodeHeader(got)
		if n != 1 || !good || !p.equal(value, v) {
			return HeaderMismatch.Because("header %s does not match the argument %s", p.Header, p.Pointer)
		}
	}
	return nil
}

// equal compares numbers as numbers: 42.0 is 42.
func (p ParamHeader) equal(header string, argument canon.Value) bool {
	text, ok := p.text(argument)
	if !ok {
		return false
	}
	if p.Type == "integer" {
		n, err := canon.Parse([]byte(header))
		return err == nil && n.String() == text && strings.TrimSpace(header) == header
	}
	return header == text
}

// text gives the argument as it stands in a header before it is encoded; ok is false if it is not of the type that the
// schema names, or an integer that JavaScript would change.
func (p ParamHeader) text(argument canon.Value) (text string, ok bool) {
	switch text = argument.String(); p.Type {
	case "string":
		return argument.Text()
	case "boolean":
		return text, text == "true" || text == "false"
	case "integer":
		return text, isInteger(text) && isSafe(text)
	}
	return "", false
}

// isSafe says that an integer lies between ±(2⁵³−1).
func isSafe(text string) bool {
	const most = "9007199254740991"
	digits := strings.TrimPrefix(text, "-")
	return len(digits) < len(most) || len(digits) == len(most) && digits <= most
}

// SetParamHeaders sets the headers that a schema asks for. The error is a [*Error] with [InvalidParams] for an argument
// that is not of the type that the schema names.
func SetParamHeaders(h http.Header, wanted []ParamHeader, arguments canon.Value) error {
	for _, p := range wanted {
		h.Del(p.Header)
		v, ok := arguments.Lookup(p.Pointer)
		if !ok || v.String() == "null" {
			continue
		}
		text, ok := p.text(v)
		if !ok {
			return InvalidParams.Because("%s: must be of type %s to go into a header", p.Pointer, p.Type)
		}
		h.Set(p.Header, EncodeHeader(text))
	}
	return nil
}
