package canon

import "encoding/hex"

// Digest is the SHA-256 of a canonical text.
type Digest [32]byte

// String gives the digest as 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero says that no digest was taken.
func (d Digest) IsZero() bool { return d == Digest{} }
