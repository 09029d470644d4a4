package app

import (
	"crypto/tls"
	"log/slog"
	"testing"
	"time"

	"gatehouse/config"
)

// Certificate opens a certificate; what it gives looks at the files each time.
func Certificate(t *testing.T, files config.TLS) func() *tls.Certificate {
	t.Helper()
	c, err := newCertificate(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return func() *tls.Certificate {
		c.looked = time.Time{}
		got, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
}
