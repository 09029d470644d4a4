package config

import (
	"fmt"
	"strings"
)

// hint names the known name that is nearest to an unknown one, if any is near enough to be a slip.
func hint(name string, known []string) string {
	best, at := "", 1+min(3, len(name)/2)
	for _, k := range known {
		if strings.HasPrefix(k, name+"_") || strings.HasPrefix(name, k+"_") {
			best = k
			break
		}
		if d := distance(name, k); d < at {
			best, at = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// distance counts the letters to add, drop or change (Levenshtein).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64 // not a slip
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
