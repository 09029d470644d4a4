package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// MaxName is how long the name of a tool may be outward: model APIs refuse more than 64 characters, and clients put up to
// 16 of their own before it.
const MaxName = 48

// Names maps the canonical names of tools (module.tool, always with a dot) to those that clients and models see (module__tool), and back.
// The mapping follows from the set of names alone, so nothing is stored and replicas agree. Two names never share an
// outward one. Immutable; the zero Names knows none.
type Names struct {
	outward, inward map[string]string
}

// NewNames maps a set of canonical names; one that stands there twice counts once.
//
// The first dot becomes two underscores and every character outside A-Z a-z 0-9 _ - one. A name that is then longer than
// [MaxName], and every name whose form another one has too, is cut and ends in _ and 6 hexadecimal digits of the SHA-256
// of its canonical name; if even those forms meet, in two digits more.
func NewNames(canonical []string) Names {
	forms := make(map[string]int, len(canonical)) // how many digits each name has now
	for _, name := range canonical {
		forms[name] = 0
		if len(outward(name, 0)) > MaxName {
			forms[name] = 6
		}
	}
	for {
		taken := make(map[string][]string, len(forms))
		for name, digits := range forms {
			o := outward(name, digits)
			taken[o] = append(taken[o], name)
		}
		met := false
		for _, names := range taken {
			if len(names) == 1 {
				continue
			}
			met = true
			for _, name := range names {
				forms[name] = max(6, forms[name]+2)
			}
		}
		if !met {
			return newNames(forms)
		}
	}
}

func newNames(forms map[string]int) Names {
	n := Names{make(map[string]string, len(forms)), make(map[string]string, len(forms))}
	for name, digits := range forms {
		o := outward(name, digits)
		n.outward[name], n.inward[o] = o, name
	}
	return n
}

// outward gives the form of a name with so many digits of its hash; 0 is the plain form, which may be too long.
func outward(canonical string, digits int) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, strings.Replace(canonical, ".", "__", 1))
	if digits == 0 {
		return plain
	}
	sum := sha256.Sum256([]byte(canonical))
	digits = min(digits, MaxName-1)
	return plain[:min(len(plain), MaxName-1-digits)] + "_" + hex.EncodeToString(sum[:])[:digits]
}

// Outward gives the name that clients see; ok is false for a name that is not in the set.
func (n Names) Outward(canonical string) (outward string, ok bool) {
	outward, ok = n.outward[canonical]
	return outward, ok
}

// Canonical gives the canonical name of either form; ok is false for what is neither.
func (n Names) Canonical(name string) (canonical string, ok bool) {
	if _, ok = n.outward[name]; ok {
		return name, true
	}
	canonical, ok = n.inward[name]
	return canonical, ok
}
