package gatetest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/wire"
)

// Header makes of a whole Authorization header what [Door.Call] takes as a token, for requests that show something else
// than a bearer.
func Header(value string) string { return rawHeader + value }

const rawHeader = "Authorization:"

// Door is one entry, as a client uses it. A token is sent as it is; an empty one is no Authorization header at all.
type Door interface {
	// Name is the entry's name in the log; doors of one entry may share it and differ in Title.
	Name() string
	Title() string
	// Call sends one call and gives what came back.
	Call(token, tool, args string) Reply
	// List gives the canonical names of the tools that the token is shown, and the code with which the list ended.
	List(token string) ([]string, outcome.Code)
}

// Reply is an outcome as it came out of an entry, translated back.
type Reply struct {
	Code   outcome.Code
	Reason string
	ID     string // of the row
	Result string // JSON
	Faults []outcome.Fault
	Cut    []gate.Redaction
	Raw    string // all that was sent, for searches
}

// Doors gives every entry that agents can use. An entry of the app that is missing here fails TestEveryEntryHasADoor.
func (h *House) Doors() []Door {
	return []Door{restDoor{h}, mcpDoor{h, "2025-11-25"}, mcpDoor{h, "2026-07-28"}, socketDoor{h}}
}

type restDoor struct{ h *House }

func (restDoor) Name() string  { return "rest" }
func (restDoor) Title() string { return "rest" }

func (d restDoor) Call(token, tool, args string) Reply {
	d.h.T.Helper()
	res, body := d.h.Send(http.MethodPost, "/v1/tools/"+url.PathEscape(tool), token, args, nil)
	r := Reply{Raw: body}
	var out struct {
		ID     string          `json:"id"`
		Code   string          `json:"code"`
		Reason string          `json:"reason"`
		Result json.RawMessage `json:"result"`
		Faults []outcome.Fault `json:"faults"`

		Redactions []gate.Redaction `json:"redactions"`
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		d.h.T.Fatalf("POST %s: %d %q is not JSON", tool, res.StatusCode, body)
	}
	r.ID, r.Reason, r.Result, r.Faults, r.Cut = out.ID, out.Reason, string(out.Result), out.Faults, out.Redactions
	if res.StatusCode == http.StatusOK {
		r.Code = outcome.OK
		return r
	}
	code, ok := outcome.Parse(out.Code)
	if !ok {
		d.h.T.Fatalf("POST %s: %d without a code: %s", tool, res.StatusCode, body)
	}
	r.Code = code
	return r
}

func (d restDoor) List(token string) ([]string, outcome.Code) {
	d.h.T.Helper()
	res, body := d.h.Send(http.MethodGet, "/v1/tools", token, "", nil)
	var out struct {
		Code  string `json:"code"`
		Tools []struct {
			Name string `json:"name"`
		} `json:"tools"`
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		d.h.T.Fatalf("GET /v1/tools: %d %q is not JSON", res.StatusCode, body)
	}
	if res.StatusCode != http.StatusOK {
		code, _ := outcome.Parse(out.Code)
		return nil, code
	}
	var names []string
	for _, t := range out.Tools {
		names = append(names, t.Name)
	}
	return names, outcome.OK
}

// mcpDoor speaks one revision by hand, so that what is sent is known to the byte.
type mcpDoor struct {
	h        *House
	revision string
}

func (mcpDoor) Name() string    { return "mcp" }
func (d mcpDoor) Title() string { return "mcp " + d.revision }

func (d mcpDoor) modern() bool { return d.revision >= "2026" }

func (d mcpDoor) Call(token, tool, args string) Reply {
	d.h.T.Helper()
	if args == "" {
		args = "{}"
	}
	exported := strings.Replace(tool, ".", "__", 1)
	name, _ := json.Marshal(exported)
	res, body := d.request(token, "tools/call", exported, `"name":`+string(name)+`,"arguments":`+args)
	if code, ended := endedBefore(res); ended {
		return Reply{Code: code, Raw: body}
	}
	return d.h.toolResult(d, tool, body)
}

// toolResult reads the answer to a tools/call.
func (h *House) toolResult(d Door, tool, body string) Reply {
	h.T.Helper()
	var out struct {
		Result *struct {
			IsError    bool            `json:"isError"`
			Structured json.RawMessage `json:"structuredContent"`
			Content    json.RawMessage `json:"content"`
			Meta       struct {
				Outcome struct {
					Code   string          `json:"code"`
					Reason string          `json:"reason"`
					ID     string          `json:"id"`
					Faults []outcome.Fault `json:"faults"`

					Redactions []gate.Redaction `json:"redactions"`
				} `json:"io.gatehouse/outcome"`
			} `json:"_meta"`
		} `json:"result"`
		Error *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		h.T.Fatalf("%s %s: %q is not JSON", d.Title(), tool, body)
	}
	if out.Error != nil {
		return Reply{Code: outcome.Invalid, Reason: out.Error.Message, Raw: body} // refused before it was a call
	}
	if out.Result == nil {
		h.T.Fatalf("%s %s: no result: %s", d.Title(), tool, body)
	}
	o := out.Result.Meta.Outcome
	code, ok := outcome.Parse(o.Code)
	good := code == outcome.OK || code == outcome.Pending || code == outcome.Input
	if !ok || good == out.Result.IsError {
		h.T.Fatalf("%s %s: outcome %q with isError %v: %s", d.Title(), tool, o.Code, out.Result.IsError, body)
	}
	return Reply{code, o.Reason, o.ID, string(out.Result.Structured), o.Faults, o.Redactions, body}
}

func (d mcpDoor) List(token string) ([]string, outcome.Code) {
	d.h.T.Helper()
	res, body := d.request(token, "tools/list", "", "")
	if code, ended := endedBefore(res); ended {
		return nil, code
	}
	if res.StatusCode != http.StatusOK {
		d.h.T.Fatalf("%s tools/list: %d %q", d.Title(), res.StatusCode, body)
	}
	return d.h.toolNames(d, body)
}

// toolNames reads the answer to a tools/list.
func (h *House) toolNames(d Door, body string) (names []string, code outcome.Code) {
	h.T.Helper()
	var out struct {
		Error *struct {
			Message string `json:"message"`
			Data    struct {
				Code string `json:"code"`
			} `json:"data"`
		} `json:"error"`
		Result struct {
			Tools []struct {
				Name string `json:"name"`
			} `json:"tools"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		h.T.Fatalf("%s tools/list: %q", d.Title(), body)
	}
	if out.Error != nil {
		code, ok := outcome.Parse(out.Error.Data.Code)
		if !ok {
			h.T.Fatalf("%s tools/list: an error without a code: %s", d.Title(), body)
		}
		return nil, code
	}
	for _, t := range out.Result.Tools {
		names = append(names, strings.Replace(t.Name, "__", ".", 1))
	}
	return names, outcome.OK
}

// endedBefore reports whether a request ended before it was read, and with which code.
func endedBefore(res Answer) (outcome.Code, bool) {
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return outcome.Unauthenticated, true
	case http.StatusServiceUnavailable:
		return outcome.Unavailable, true
	}
	return outcome.Internal, false
}

// request sends one JSON-RPC request in the door's revision; a legacy session is opened once for each token, and anew when
// the gateway does not know it any more.
func (d mcpDoor) request(token, method, name, params string) (Answer, string) {
	d.h.T.Helper()
	res, body := d.send(token, method, name, params)
	if res.StatusCode == http.StatusNotFound && !d.modern() && d.h.forget(d.revision+token) {
		res, body = d.send(token, method, name, params)
	}
	return res, body
}

// send is one request, in the session that there is.
func (d mcpDoor) send(token, method, name, params string) (Answer, string) {
	d.h.T.Helper()
	header := http.Header{"Mcp-Protocol-Version": {d.revision}}
	meta := ""
	if d.modern() {
		header.Set("Mcp-Method", method)
		if name != "" {
			header.Set("Mcp-Name", wire.EncodeHeader(name))
		}
		meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + d.revision + `","io.modelcontextprotocol/clientCapabilities":{}}`
		if params != "" {
			meta += ","
		}
	} else {
		session, res, body := d.session(token)
		if session == "" {
			return res, body
		}
		header.Set("Mcp-Session-Id", session)
	}
	id := d.h.takeID()
	defer d.h.giveID(id)
	return d.h.Send(http.MethodPost, "/mcp", token, `{"jsonrpc":"2.0","id":`+strconv.Itoa(id)+`,"method":"`+method+`","params":{`+meta+params+`}}`, header)
}

// takeID gives the smallest JSON-RPC id that is not in use: calls that are made one after the other look alike, and of those
// at the same time no two share one.
func (h *House) takeID() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := 1
	for h.ids[id] {
		id++
	}
	h.ids[id] = true
	return id
}

func (h *House) giveID(id int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.ids, id)
}

func (d mcpDoor) session(token string) (string, Answer, string) {
	d.h.T.Helper()
	d.h.mu.Lock()
	defer d.h.mu.Unlock()
	key := d.revision + token
	if s := d.h.sessions[key]; s != "" {
		return s, Answer{}, ""
	}
	res, body := d.h.Send(http.MethodPost, "/mcp", token, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+d.revision+
		`","capabilities":{},"clientInfo":{"name":"gatetest","version":"1"}}}`, nil)
	s := res.Header.Get("Mcp-Session-Id")
	if res.StatusCode != http.StatusOK || s == "" {
		return "", res, body
	}
	d.h.sessions[key] = s
	header := http.Header{"Mcp-Session-Id": {s}, "Mcp-Protocol-Version": {d.revision}}
	if res, body := d.h.Send(http.MethodPost, "/mcp", token, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, header); res.StatusCode != http.StatusAccepted {
		d.h.T.Fatalf("notifications/initialized: %d %s", res.StatusCode, body)
	}
	return s, res, body
}

// forget lets go of a session, if there is one.
func (h *House) forget(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.sessions[key] != ""
	delete(h.sessions, key)
	return known
}

// Session is the MCP session that a door with sessions has opened with a token; empty: none.
func (h *House) Session(d Door, token string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m, ok := d.(mcpDoor); ok {
		return h.sessions[m.revision+token]
	}
	return ""
}

// Send sends one HTTP request and reads the answer whole. The token is sent as it is, even if it is none.
func (h *House) Send(method, path, token, body string, header http.Header) (Answer, string) {
	h.T.Helper()
	r, err := http.NewRequestWithContext(h.T.Context(), method, "http://127.0.0.1"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		h.T.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	if value, raw := strings.CutPrefix(token, rawHeader); raw {
		r.Header["Authorization"] = []string{value}
	} else if token != "" {
		r.Header["Authorization"] = []string{"Bearer " + token}
	}
	for k, v := range header {
		r.Header[k] = v
	}
	res, err := h.client.Do(r)
	if err != nil {
		h.T.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.T.Fatalf("%s %s: %v", method, path, err)
	}
	if h.config.Received != nil {
		_ = res.Header.Write(h.config.Received)
		_, _ = h.config.Received.Write(b)
	}
	text := string(b)
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		text = lastEvent(text)
	}
	return Answer{res.StatusCode, res.Header}, text
}

// Answer is what stood before the body of an HTTP response, which was read whole.
type Answer struct {
	StatusCode int
	Header     http.Header
}

// lastEvent gives the data of the last message of an event stream: the answer.
func lastEvent(stream string) string {
	last := ""
	for _, event := range strings.Split(strings.ReplaceAll(stream, "\r\n", "\n"), "\n\n") {
		var data []string
		for _, line := range strings.Split(event, "\n") {
			if d, ok := strings.CutPrefix(line, "data:"); ok {
				data = append(data, strings.TrimPrefix(d, " "))
			}
		}
		if len(data) > 0 {
			last = strings.Join(data, "\n")
		}
	}
	return last
}
