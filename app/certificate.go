package app

import (
	"crypto/tls"
	"log/slog"
	"sync"
	"time"

	"gatehouse/config"
)

// lookEvery is how often the files of the certificate are looked at, at most: when a connection comes.
const lookEvery = 10 * time.Second

// certificate is the one in use. When its files change it is read again; one that cannot be read leaves the old in use.
type certificate struct {
	files config.TLS
	log   *slog.Logger

	mu      sync.Mutex // guards the rest
	current *tls.Certificate
	changed time.Time // of the files that current, or the last failure, came from
	looked  time.Time
}

func newCertificate(files config.TLS, log *slog.Logger) (*certificate, error) {
	changed := files.Changed()
	first, err := files.Load()
	if err != nil {
		return nil, err
	}
	return &certificate{files: files, log: log, current: &first, changed: changed, looked: time.Now()}, nil
}

// get is asked at each handshake.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookEvery {
		return c.current, nil
	}
	c.looked = time.Now()
	changed := c.files.Changed()
	if changed.IsZero() || changed.Equal(c.changed) {
		return c.current, nil
	}
	next, err := c.files.Load()
	if err != nil {
		c.log.Error("the new certificate of TLS is not taken; the old one stays in use", "error", err)
		return c.current, nil // looked at again, since a key may follow its certificate a moment later
	}
	c.current, c.changed = &next, changed
	c.log.Info("took the new certificate of TLS", "ends", next.Leaf.NotAfter.UTC().Format(time.RFC3339))
	return c.current, nil
}

// end is when the certificate in use ends.
func (c *certificate) end() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.Leaf.NotAfter
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}
