// Package socket is the operator's entry: a Unix socket in the data folder, on which the commands of the operator make
// calls. It must never decide what the operator may do, and it must never take the rights of the socket's file as proof:
// whoever connects shows, by an HMAC over a nonce of ours, that it can read operator.key, because programs that we
// started ourselves can reach the socket but not that file.
//
// The protocol, version 1, is one JSON object a line, at most MaxLine bytes:
//
//	server: {"gatehouse":"socket","version":1,"nonce":HEX}
//	client: {"mac":HEX,"version":1}
//	server: {"ok":true}  or  {"error":…} and the end
//	client: {"arguments":{…},"id":1,"tool":"people.list"}
//	server: {"id":1,"outcome":{"code":"ok","id":"1763871234567-3","result":…}}
//
// Unknown members are refused, so another member means another version, which either side refuses with a hint. A line
// that does not end with a line feed is none: a client that was cut off asked for nothing. A client that leaves while its
// call runs cancels it.
package socket

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gatehouse/canon"
	"gatehouse/outcome"
	"gatehouse/secret"
)

const (
	// Version is the major version of the protocol.
	Version = 1
	// MaxLine is the most bytes of one line.
	MaxLine = 8 << 20

	// maxGreeting is the most bytes of a line before the proof: a stranger must not make us keep more.
	maxGreeting = 1 << 10

	keyFile    = "operator.key"
	socketFile = "operator.sock"
)

// ErrVersion says that the two sides speak different versions of the protocol. It has a method Hint.
var ErrVersion error = versionError{}

type versionError struct{}

func (versionError) Error() string {
	return "the running server speaks another version of the operator's protocol"
}

// Hint says what to do about it.
func (versionError) Hint() string {
	return "use the gatehouse that the server was started with, or restart the server with this one"
}

// WriteKey puts the operator's key for this start into the data folder, for its owner's eyes alone.
func WriteKey(data string, key secret.Text) error {
	temp, err := os.CreateTemp(data, ".operator-*")
	if err != nil {
		return fmt.Errorf("making the key's file: %w", err)
	}
	_, err = io.WriteString(temp, key.Reveal()+"\n")
	if err == nil {
		err = temp.Chmod(0o600)
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), filepath.Join(data, keyFile))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", keyFile, errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}

// readKey reads the proof. A data folder that was never served has none: outcome.NotFound.
func readKey(data string) (secret.Text, error) {
	b, err := os.ReadFile(filepath.Join(data, keyFile))
	if errors.Is(err, os.ErrNotExist) {
		return secret.Text{}, outcome.NotFound.Because("no server was ever started on %s", data)
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading the operator's key: %w", err)
	}
	if len(b) != 65 {
		return secret.Text{}, fmt.Errorf("reading the operator's key: %s is not as serve wrote it", keyFile)
	}
	return secret.New(string(b[:64])), nil
}

// conn sends and takes lines. One goroutine may send while another takes.
type conn struct {
	net.Conn
	r    *bufio.Reader
	most int    // bytes of a line
	line []byte // the last line that was read
}

func newConn(c net.Conn) *conn {
	return &conn{Conn: c, r: bufio.NewReaderSize(c, maxGreeting), most: maxGreeting}
}

// trust lets the other side send long lines, without hurry.
func (c *conn) trust() error {
	c.most = MaxLine
	return c.SetDeadline(time.Time{})
}

// send writes one object. One that is too long is outcome.Invalid, and nothing of it is written.
func (c *conn) send(v any) error {
	line, err := canon.From(v)
	if err != nil {
		return fmt.Errorf("writing a line: %w", err)
	}
	if line.Len() >= MaxLine {
		return outcome.Invalid.Because("the line would have %d bytes, more than %d", line.Len(), MaxLine)
	}
	_, err = c.Write(append(line.AppendTo(make([]byte, 0, line.Len()+1)), '\n'))
	return err
}

// take reads one object. The end of the connection is io.EOF, a line that is not an object outcome.Invalid.
func (c *conn) take(dst any) error {
	v, err := c.object()
	if err != nil {
		return err
	}
	return v.Decode(dst)
}

// greet reads one object that says its version before anything else of it is understood: ErrVersion.
func (c *conn) greet(dst any) error {
	v, err := c.object()
	if err != nil {
		return err
	}
	if version, _ := v.Member("version"); version.String() != strconv.Itoa(Version) {
		return ErrVersion
	}
	return v.Decode(dst)
}

func (c *conn) object() (canon.Value, error) {
	c.line = c.line[:0]
	for {
		piece, err := c.r.ReadSlice('\n')
		c.line = append(c.line, piece...)
		switch {
		case len(c.line) > c.most, len(c.line) == c.most && err != nil:
			return canon.Value{}, outcome.Invalid.Because("the line has more than %d bytes", c.most)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return canon.Value{}, io.EOF
		case err != nil:
			return canon.Value{}, fmt.Errorf("reading a line: %w", err)
		}
		return canon.ParseObject(c.line)
	}
}

// The objects of the protocol.
type (
	hello struct {
		Gatehouse string `json:"gatehouse"`
		Version   int    `json:"version"`
		Nonce     string `json:"nonce"`
	}
	proof struct {
		Version int    `json:"version"`
		MAC     string `json:"mac"`
	}
	welcome struct {
		OK    bool   `json:"ok,omitzero"`
		Error string `json:"error,omitzero"`
	}
	request struct {
		ID        int64       `json:"id"`
		Tool      string      `json:"tool"`
		Arguments canon.Value `json:"arguments,omitzero"`
	}
	answer struct {
		ID      int64 `json:"id"`
		Outcome reply `json:"outcome"`
	}
	reply struct {
		Code       string          `json:"code"`
		Reason     string          `json:"reason,omitzero"`
		Faults     []outcome.Fault `json:"faults,omitzero"`
		RetryAfter int64           `json:"retry_after_ms,omitzero"`
		ID         string          `json:"id,omitzero"`
		Result     canon.Value     `json:"result,omitzero"`
	}
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}
