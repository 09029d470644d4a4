package socket

import (
	"bytes"
	"log/slog"
	"net"

	"gatehouse/gate"
)

// SocketFile is the socket's name in the data folder.
const SocketFile = socketFile

// MaxGreeting is the most bytes of a line before the proof.
const MaxGreeting = maxGreeting

// Take reads one line of a stream as a request.
func Take(stream []byte) (id int64, tool, arguments string, err error) {
	c := newConn(reader{Reader: bytes.NewReader(stream)})
	var r request
	err = c.take(&r)
	return r.ID, r.Tool, r.Arguments.String(), err
}

// Shorten gives a short path to a folder.
func Shorten(dir string) (string, func(), error) { return shorten(dir) }

// Translate writes an outcome and reads it again, as it travels.
func Translate(o gate.Outcome) (code, id string) {
	r := translate(o)
	return r.Code, r.ID
}

// Nuisance writes about connections without a proof.
type Nuisance struct{ n nuisance }

// NewNuisance writes to a log.
func NewNuisance(log *slog.Logger) *Nuisance { return &Nuisance{nuisance{log: log}} }

// Add is about one connection.
func (n *Nuisance) Add(err error) { n.n.add(err) }

// Close writes what is left.
func (n *Nuisance) Close() { n.n.close() }

type reader struct {
	net.Conn
	*bytes.Reader
}

func (r reader) Read(b []byte) (int, error) { return r.Reader.Read(b) }
