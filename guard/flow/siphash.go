package flow

import (
	"encoding/binary"
	"math/bits"
)

// Key makes the hashes of one memory its own, so that nobody outside can look for two values with one hash. It is random
// and as secret as the memory.
type Key [16]byte

// hash is SipHash-2-4 of a value of one kind.
func (k Key) hash(kind byte, s string) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:])
	h := sip{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	// The message is the kind and then the text; word collects eight bytes of it.
	word, n := uint64(kind), 1
	for i := 0; i < len(s); {
		if n == 0 && i+8 <= len(s) {
			h.take(uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
				uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56)
			i += 8
			continue
		}
		word |= uint64(s[i]) << (8 * n)
		i++
		if n++; n == 8 {
			h.take(word)
			word, n = 0, 0
		}
	}
	h.take(word | uint64(len(s)+1)<<56)
	h[2] ^= 0xff
	for range 4 {
		h.round()
	}
	return h[0] ^ h[1] ^ h[2] ^ h[3]
}

type sip [4]uint64

func (h *sip) take(word uint64) {
	h[3] ^= word
	h.round()
	h.round()
	h[0] ^= word
}

func (h *sip) round() {
	h[0] += h[1]
	h[1] = bits.RotateLeft64(h[1], 13) ^ h[0]
	h[0] = bits.RotateLeft64(h[0], 32)
	h[2] += h[3]
	h[3] = bits.RotateLeft64(h[3], 16) ^ h[2]
	h[0] += h[3]
	h[3] = bits.RotateLeft64(h[3], 21) ^ h[0]
	h[2] += h[1]
	h[1] = bits.RotateLeft64(h[1], 17) ^ h[2]
	h[2] = bits.RotateLeft64(h[2], 32)
}
