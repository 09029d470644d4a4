package bridge_test

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/bridge"
)

// The official client, over standard input and output, in both eras: it lists, calls, is refused, and loses permission and
// token in mid-session.
func TestTheOfficialClientOverTheBridge(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newTown(t)
			ann := w.Person("ann", "echo.say")
			inR, inW := io.Pipe()
			outR, outW := io.Pipe()
			l := &line{t: t, dials: map[string]bool{}}
			done := make(chan error, 1)
			go func() {
				done <- bridge.Run(context.Background(), l.config(w.url, tokenFile(t, ann.Token.Text), inR, outW))
				_ = outW.Close()
			}()
			session, err := sdk.NewClient(&sdk.Implementation{Name: "t", Version: "1"}, nil).
				Connect(t.Context(), &sdk.IOTransport{Reader: outR, Writer: inW}, &sdk.ClientSessionOptions{ProtocolVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			if got := session.InitializeResult().ProtocolVersion; got != version {
				t.Errorf("the session speaks %s", got)
			}
			tools, err := session.ListTools(t.Context(), nil)
			if err != nil || len(tools.Tools) != 4 {
				t.Fatalf("tools/list: %v %v", tools, err)
			}
			say := func(tool string) (*sdk.CallToolResult, error) {
				return session.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: map[string]any{"text": "a"}})
			}
			if res, err := say("echo__say"); err != nil || res.IsError {
				t.Fatalf("tools/call: %v %v", res, err)
			}
			if res, err := say("echo__shout"); err != nil || !res.IsError || !strings.HasPrefix(res.Content[0].(*sdk.TextContent).Text, "not_allowed") {
				t.Fatalf("a tool without permission: %v %v", res, err)
			}
			ann.Grant(map[string]string{"echo.say": "none"})
			if res, err := say("echo__say"); err != nil || !res.IsError {
				t.Fatalf("after the permission went: %v %v", res, err)
			}
			w.Revoke(ann.Token)
			if res, err := say("echo__say"); err == nil || !strings.Contains(err.Error(), "refused the token") {
				t.Fatalf("after the token was revoked: %v %v", res, err)
			}
			if err := session.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
			if err := <-done; err != nil {
				t.Errorf("the bridge ended with %v", err)
			}
			for address := range l.dials {
				if "http://"+address+"/mcp" != w.url {
					t.Errorf("it dialled %s", address)
				}
			}
		})
	}
}

// What the client sends reaches the gateway byte for byte, and back: numbers, escapes and members that nobody knows.
func TestFramesPassUnchanged(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	ann := w.Person("ann", "echo.say")
	l := start(t, w.url, tokenFile(t, ann.Token.Text))
	l.shake()
	l.say(call(`"a/b"`, "echo__say", `{ "text" : "\u00e9 \u2028 \"x\"" }`, ""))
	direct := func() string {
		_, body := w.Send("POST", "/mcp", ann.Token.Text, call(`"a/b"`, "echo__say", `{"text":"é \u2028 \"x\""}`, newMeta),
			map[string][]string{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"echo__say"}})
		return body
	}()
	got := l.want(`"id":"a/b"`, `"structuredContent":{"text":"é`)
	content := func(s string) string {
		_, s, _ = strings.Cut(s, `"content":`)
		s, _, _ = strings.Cut(s, `]`)
		return s
	}
	if content(got) != content(direct) || content(got) == "" {
		t.Errorf("over the bridge %s\nstraight %s", got, direct)
	}
	l.say(`{"jsonrpc":"2.0","id":2,"method":"tools/list","id":3}`)
	l.want(`"id":null`, `-32700`)
	l.say(`[]`, `{"jsonrpc":"2.0","id":4,"method":"x"}`)
	l.want(`"id":null`, `-32600`)
	l.want(`"id":4`, `-32601`)
	if err := l.end(); err != nil {
		t.Error(err)
	}
	if w.count("DELETE 204") != 1 {
		t.Errorf("the session was not ended: %v", w.seen)
	}
}

// A gateway that was started anew knows no sessions: the client goes on, and is told that tools may have changed.
func TestTheGatewayStartsAnew(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	ann := w.Person("ann", "echo.say")
	l := start(t, w.url, tokenFile(t, ann.Token.Text))
	l.shake()
	eventually(t, "the stream of notifications", func() bool { return w.count("GET 200") == 1 })
	w.again()
	l.say(call("2", "echo__say", `{"text":"a"}`, ""))
	first, second := l.hear(), l.hear()
	if !strings.Contains(first+second, `"structuredContent":{"text":"a"}`) || !strings.Contains(first+second, "notifications/tools/list_changed") {
		t.Errorf("%s\n%s", first, second)
	}
	eventually(t, "a new stream of notifications", func() bool { return w.count("GET 200") == 2 })
	ann.Grant(map[string]string{"echo.say": "none"}) // the new stream tells of it
	l.want("notifications/tools/list_changed")
	if err := l.end(); err != nil || !strings.Contains(l.notes(), "forgotten the session") {
		t.Errorf("%v, %s", err, l.notes())
	}
}

// A token that was revoked is an error for each request and a line for people; a new one in the file heals it.
func TestANewTokenInTheFile(t *testing.T) {
	t.Parallel()
	for _, meta := range []string{"", newMeta} {
		w := newTown(t)
		ann := w.Person("ann", "echo.say")
		file := tokenFile(t, ann.Token.Text)
		l := start(t, w.url, file)
		if meta == "" {
			l.shake()
		}
		l.say(call("2", "echo__say", `{"text":"a"}`, meta))
		l.want(`"id":2`, `"text":"a"`)
		w.Revoke(ann.Token)
		for _, id := range []string{"3", "4"} {
			l.say(call(id, "echo__say", `{"text":"a"}`, meta))
			l.want(`"id":`+id, `"error"`, "refused the token in file "+file, "gatehouse token issue")
		}
		if n := strings.Count(l.notes(), "refused the token"); n != 1 {
			t.Errorf("people were told %d times: %s", n, l.notes())
		}
		fresh := ann.Issue(map[string]any{"tools": []string{"echo.say"}})
		write(t, file, fresh.Text)
		l.say(call("5", "echo__say", `{"text":"b"}`, meta))
		answers := l.hear()
		if meta == "" {
			answers += l.hear() // the session is a new one
		}
		if !strings.Contains(answers, `"text":"b"`) {
			t.Errorf("with a new token: %s", answers)
		}
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		w.Revoke(fresh)
		l.say(call("6", "echo__say", `{"text":"a"}`, meta))
		l.want(`"id":6`, `"error"`, "0600")
		if all := l.notes(); strings.Contains(all, ann.Token.Text) || strings.Contains(all, fresh.Text) {
			t.Error("a token was told")
		}
		if err := l.end(); err != nil {
			t.Error(err)
		}
	}
}

// Taking a request back: with a handshake by the notification, without one by closing the request. No answer comes.
func TestCancel(t *testing.T) {
	t.Parallel()
	for _, meta := range []string{"", newMeta} {
		w := newTown(t)
		ann := w.Person("ann", "echo.slow")
		l := start(t, w.url, tokenFile(t, ann.Token.Text))
		if meta == "" {
			l.shake()
		}
		l.say(call("2", "echo__slow", `{"text":"a"}`, meta))
		<-w.echo.begun
		l.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
		if err := <-w.echo.ended; err == nil {
			t.Error("it was not cancelled")
		}
		l.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
		if err := l.end(); err != nil {
			t.Error(err)
		}
		eventually(t, "the row of the cancelled call", func() bool {
			rows := w.Rows()
			return rows[len(rows)-1].String() == "echo.slow cancelled"
		})
	}
}

// A tool may want an argument in a header, of which a client over standard output knows nothing.
func TestHeadersThatAToolWants(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	ann := w.Person("ann", "echo.marked")
	l := start(t, w.url, tokenFile(t, ann.Token.Text))
	for _, id := range []string{"1", "2"} {
		l.say(call(id, "echo__marked", `{"text":"é`+id+`"}`, newMeta))
		l.want(`"id":`+id, `"code":"ok"`)
	}
	if n := w.count("POST 400"); n != 1 {
		t.Errorf("%d requests were refused, want the first alone", n)
	}
	if err := l.end(); err != nil {
		t.Error(err)
	}
}
