package tokens_test

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/module/tokens"
)

const zeros = "2CZclj"

var looks = regexp.MustCompile(`^st_[0-9A-Za-z]{49}$`)

// TestFormat holds a token by hand: the CRC-32 of 43 zeros, worked out by zlib, is 0x7849568F.
func TestFormat(t *testing.T) {
	t.Parallel()
	if got := tokens.Checksum(strings.Repeat("0", 43)); got != zeros {
		t.Errorf("the checksum of 43 zeros is %s, want %s", got, zeros)
	}
	seen := map[string]bool{}
	for range 1000 {
		token, err := tokens.Generate()
		if err != nil {
			t.Fatal(err)
		}
		text := token.Reveal()
		sum, ok := tokens.Parse(text)
		if !looks.MatchString(text) || !ok || sum != sha256.Sum256([]byte(text)) || seen[text] {
			t.Fatalf("generated %q: parsed %v, seen before %v", text, ok, seen[text])
		}
		seen[text] = true
	}
}

func TestWhatIsNoToken(t *testing.T) {
	t.Parallel()
	token, err := tokens.Generate()
	if err != nil {
		t.Fatal(err)
	}
	good := token.Reveal()
	for _, text := range []string{
		"", " ", "st_", good + " ", " " + good, good + "\n", good[:51], good + "0", "ST_" + good[3:], "sk_" + good[3:], good[3:],
		strings.Repeat(good, 2), "st_" + strings.Repeat("é", 22) + good[47:], strings.ToUpper(good), good[:3] + "-" + good[4:],
		"st_" + strings.Repeat("-", 43) + tokens.Checksum(strings.Repeat("-", 43)), // with a checksum that is right
	} {
		if _, ok := tokens.Parse(text); ok {
			t.Errorf("%q was taken for a token", text)
		}
	}
}

// TestEveryTypoIsSeen: one wrong character, or two that changed places, never reach the look-up.
func TestEveryTypoIsSeen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		token, err := tokens.Generate()
		if err != nil {
			t.Fatal(err)
		}
		text := []byte(token.Reveal())
		i := rapid.IntRange(3, len(text)-1).Draw(t, "at")
		if to := rapid.ByteRange('0', 'z').Draw(t, "to"); rapid.Bool().Draw(t, "swap") && i > 3 {
			text[i], text[i-1] = text[i-1], text[i]
		} else {
			text[i] = to
		}
		if _, ok := tokens.Parse(string(text)); ok && string(text) != token.Reveal() {
			t.Errorf("%s was taken for %s", text, token.Reveal())
		}
	})
}

func FuzzParse(f *testing.F) {
	token, err := tokens.Generate()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "st_", token.Reveal(), "st_" + strings.Repeat("0", 43) + zeros, "st_" + strings.Repeat("z", 49)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sum, ok := tokens.Parse(text)
		if ok && (!looks.MatchString(text) || text[46:] != tokens.Checksum(text[3:46])) {
			t.Errorf("%q was taken for a token", text)
		}
		if !ok && sum != [32]byte{} {
			t.Errorf("%q is no token and has a hash", text)
		}
	})
}
