package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"

	"gatehouse/secret"
)

// A token is st_, 43 characters of base62 (0-9, A-Z, a-z) that write 32 random bytes as one number, padded with zeros,
// and 6 characters of base62 that write the CRC-32 (IEEE) of those 43 characters as they stand. The checksum is no
// protection: it lets secret scanners be sure, and a mistyped token be refused without a look-up.
const (
	prefix    = "st_"
	bodySize  = 43
	checkSize = 6
	digits    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// hash is what is stored of a token: the SHA-256 of its text. With 256 random bits in it nothing slower is needed.
type hash [sha256.Size]byte

// generate makes a new token.
func generate() (secret.Text, hash, error) {
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return secret.Text{}, hash{}, fmt.Errorf("making a token: %w", err)
	}
	body := base62(new(big.Int).SetBytes(random[:]), bodySize)
	text := prefix + body + checksum(body)
	return secret.New(text), sha256.Sum256([]byte(text)), nil
}

// parse gives the hash of a text that is written as a token is.
func parse(t secret.Text) (hash, bool) {
	text := t.Reveal()
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok || len(rest) != bodySize+checkSize {
		return hash{}, false
	}
	body := rest[:bodySize]
	for i := range bodySize {
		if strings.IndexByte(digits, body[i]) < 0 {
			return hash{}, false
		}
	}
	if checksum(body) != rest[bodySize:] {
		return hash{}, false
	}
	return sha256.Sum256([]byte(text)), true
}

func checksum(body string) string {
	return base62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))), checkSize)
}

// base62 writes a number with exactly n digits, which must be enough.
func base62(x *big.Int, n int) string {
	out := make([]byte, n)
	base, rest := big.NewInt(int64(len(digits))), new(big.Int)
	for i := n - 1; i >= 0; i-- {
		x.QuoRem(x, base, rest)
		out[i] = digits[rest.Int64()]
	}
	return string(out)
}
