package config_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gatehouse/config"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "90d": 90 * day, "1d12h": 36 * time.Hour, "0s": 0, "0d": 0, "1.5h": 90 * time.Minute, "65535d": 65535 * day,
		"": -1, "d": -1, "24": -1, "0": -1, "-1s": -1, "+1s": -1, "1h1d": -1, "1d1d": -1, "1d-1h": -1, "1d ": -1, " 1d": -1, "1.5d": -1,
		"-1d": -1, "1d0": -1, "106752d": -1, "65536d": -1, "65535d2000000h": -1, "9999999999h": -1, "soon": -1, "1w": -1,
	} {
		got, err := config.ParseDuration(text)
		if want < 0 {
			if err == nil {
				t.Errorf("%q was taken as %s", text, got)
			}
		} else if err != nil || got != want {
			t.Errorf("%q = %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Size{
		"0": 0, "512": 512, "512B": 512, "16KiB": 16 << 10, "4MiB": 4 << 20, "4 MiB": 4 << 20, "1GiB": 1 << 30, "8589934591GiB": 8589934591 << 30,
		"": -1, "MiB": -1, "-1": -1, "4MB": -1, "4M": -1, "4mib": -1, "04KiB": -1, "0x10": -1, "1.5MiB": -1, "4  MiB": -1,
		"8589934592GiB": -1, "9223372036854775808": -1, "1_000": -1, "+1": -1,
	} {
		var got config.Size
		err := got.UnmarshalText([]byte(text))
		if want < 0 {
			if err == nil {
				t.Errorf("%q was taken as %d", text, got)
			}
		} else if err != nil || got != want {
			t.Errorf("%q = %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestSizeSurvivesItsText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := config.Size(rapid.Int64Range(0, math.MaxInt64).Draw(t, "size"))
		if rapid.Bool().Draw(t, "round") {
			want = want >> 20 << 20
		}
		var got config.Size
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Fatalf("%d is written %s and read as %d, %v", want, want, got, err)
		}
	})
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "::1": "::1/128", "fd00::/8": "fd00::/8", "::ffff:10.0.0.1": "10.0.0.1/32",
		"": "", "10.1.2.3/8": "", "10.0.0.0/33": "", "proxy": "", "::ffff:10.0.0.0/104": "", "fe80::1%eth0": "", "10.0.0.0/08": "",
	} {
		got, err := config.ParsePrefix(text)
		if want == "" {
			if err == nil {
				t.Errorf("%q was taken as %s", text, got)
			}
		} else if err != nil || got.String() != want {
			t.Errorf("%q = %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"listen", "lisen", 1}, {"kitten", "sitting", 3}, {"", "abc", 3}, {"abc", "", 3}, {"ab", "ba", 2}} {
		if got := config.Distance(tt.a, tt.b); got != tt.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestMoney(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Money{
		"0": 0, "5": 5_000_000, "2.50": 2_500_000, "0.000001": 1, "999999999.999999": 999_999_999_999_999,
		"": -1, "-1": -1, "+1": -1, ".5": -1, "1.": -1, "01": -1, "1e3": -1, "0.0000001": -1, "1,5": -1, "1000000000": -1, "0x1": -1, " 1": -1,
	} {
		got, err := config.ParseMoney(text)
		if want < 0 {
			if err == nil {
				t.Errorf("%q was taken as %d", text, got)
			}
		} else if err != nil || got != want {
			t.Errorf("%q = %d, %v, want %d", text, got, err, want)
		}
	}
}
