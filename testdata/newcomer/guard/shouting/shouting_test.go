package shouting_test

import (
	"testing"

	"gatehouse/guard"
	"gatehouse/guard/shouting"
)

func TestShouting(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"BUY MILK NOW": 1, "Buy milk now": 0, "USA": 0, "1234 5678": 0} {
		found, err := shouting.New().Inspect(t.Context(), guard.Subject{Text: text, Kind: guard.Text})
		if err != nil || len(found) != want {
			t.Errorf("%q: %d findings, %v; want %d", text, len(found), err, want)
		}
	}
}
