package gate

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxExported is the longest name that every client takes: model APIs refuse more than 64 signs, and clients put a prefix
// of up to 16 before ours.
const maxExported = 48

// exportNames gives each canonical name (module.tool) the name that model APIs accept: ^[a-zA-Z0-9_-]{1,48}$. The dot
// becomes two underscores, other signs one. Names that are too long, or that would collide, are cut and end in six hex
// digits of the SHA-256 of the true name: of colliding names all do, so the mapping follows from the names alone.
func exportNames(names []string) []string {
	exported := make([]string, len(names))
	count := map[string]int{}
	for i, name := range names {
		exported[i] = exportName(name)
		count[exported[i]]++
	}
	taken := map[string]bool{}
	for i, name := range names {
		if count[exported[i]] > 1 || len(exported[i]) > maxExported {
			exported[i] = hashedName(name, exported[i], 6)
		}
		taken[exported[i]] = true
	}
	if len(taken) == len(names) {
		return exported
	}
	// Six digits collided too (one in millions): everything that is hashed gets the whole width.
	for i, name := range names {
		if count[exportName(name)] > 1 || len(exportName(name)) > maxExported {
			exported[i] = hashedName(name, exportName(name), 32)
		}
	}
	return exported
}

func exportName(name string) string {
	module, tool, _ := strings.Cut(name, ".")
	return clean(module) + "__" + clean(tool)
}

func hashedName(name, exported string, digits int) string {
	sum := sha256.Sum256([]byte(name))
	keep := min(len(exported), maxExported-1-digits)
	return exported[:keep] + "_" + hex.EncodeToString(sum[:])[:digits]
}

func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, s)
}
