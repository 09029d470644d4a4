package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

// TLS is a certificate with its key, in PEM. The files may be links, because programs that renew certificates make them so.
type TLS struct {
	CertFile string `yaml:"cert_file,path"` // the certificate, then those between it and the root
	KeyFile  string `yaml:"key_file,path"`  // not readable for everybody
}

// IsZero reports whether there is none.
func (t TLS) IsZero() bool { return t == TLS{} }

// Load reads both files now. A key that everybody may read, one that does not fit, and a certificate that has ended are
// errors that say what to do.
func (t TLS) Load() (tls.Certificate, error) {
	info, err := os.Stat(t.KeyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading the key of TLS: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 && runtime.GOOS != "windows" {
		return tls.Certificate{}, fmt.Errorf("the key of TLS %s has mode %04o, which lets everybody read it; make it 0600", t.KeyFile, info.Mode().Perm())
	}
	c, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading the certificate of TLS: %w", err)
	}
	if c.Leaf == nil {
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return tls.Certificate{}, fmt.Errorf("reading the certificate of TLS: %w", err)
		}
	}
	if time.Now().After(c.Leaf.NotAfter) {
		return tls.Certificate{}, errors.New("the certificate of TLS has ended; renew it")
	}
	return c, nil
}

// Changed is when the newer of the two files was written; the zero time if they cannot be looked at.
func (t TLS) Changed() time.Time {
	var newest time.Time
	for _, path := range []string{t.CertFile, t.KeyFile} {
		info, err := os.Stat(path)
		if err != nil {
			return time.Time{}
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest
}
