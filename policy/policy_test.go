package policy_test

import (
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/canon"
	"gatehouse/policy"
)

func value(t testing.TB, text string) canon.Value {
	t.Helper()
	v, err := canon.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// sendTool is a tool with the arguments of gmail.send, and some more.
func sendTool(t testing.TB) policy.Tool {
	t.Helper()
	return policy.Tool{Name: "gmail.send", Module: "gmail", Effect: "writes", Definition: "1", Input: value(t, `{
		"type":"object","additionalProperties":false,
		"properties":{
			"to":{"type":"array","items":{"type":"string"}},
			"cc":{"type":"array","items":{"type":"string"}},
			"bcc":{"anyOf":[{"type":"array","items":{"type":"string"}},{"type":"null"}],"default":null},
			"subject":{"type":"string"},
			"copies":{"type":"integer"},
			"price":{"type":"number"},
			"urgent":{"type":"boolean"},
			"role":{"type":"string","default":"owner"},
			"note":{"type":["string","null"]},
			"free":{},
			"user-id":{"type":"string"},
			"headers":{"type":"object","additionalProperties":{"type":"string"}},
			"options":{"$ref":"#/$defs/options"},
			"files":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}}}}},
			"tree":{"$ref":"#/$defs/tree"}},
		"$defs":{
			"options":{"type":"object","properties":{"lists":{"type":"array","items":{"type":"array","items":{"type":"integer"}}},"name":{"type":"string"}}},
			"tree":{"type":"object","properties":{"sub":{"$ref":"#/$defs/tree"},"leaf":{"type":"string"}}}}}`)}
}

// bind compiles rules for one tool and fails on any misfit.
func bind(t testing.TB, tool policy.Tool, rules ...policy.Rule) *policy.Bound {
	t.Helper()
	for i := range rules {
		if rules[i].Name == "" {
			rules[i].Name = fmt.Sprint(i + 1)
		}
	}
	set, i, fault := policy.Compile(rules...)
	if fault != nil {
		t.Fatalf("rule %d %q: %v", i, rules[i].When, fault)
	}
	b, err := set.Bind(tool)
	if err != nil {
		t.Fatal(err)
	}
	if m := b[0].Misfits(); len(m) > 0 {
		t.Fatalf("%q: %v", rules[0].When, m[0])
	}
	return b[0]
}

// external is the sample of the contract: mail to others than the house's own waits.
const external = `!(args.to + args.cc + args.bcc).all(a, domain(a) == "example.org")`

// TestPolicy_T25: no way of writing a foreign recipient gets past the sample rule.
func TestPolicy_T25(t *testing.T) {
	t.Parallel()
	b := bind(t, sendTool(t), policy.Rule{Tool: "gmail.send", When: external, Then: policy.Ask})
	through := []string{
		`{}`, `{"to":[]}`, `{"to":["ada@example.org"]}`, `{"to":["ada@example.org","Bob.B+x@example.org"],"cc":["c@example.org"],"bcc":null}`,
	}
	for _, args := range through {
		if v := b.Judge(&policy.Call{Args: value(t, args)}); v.Decision != policy.Allow {
			t.Errorf("%s: %s (%s), want allow", args, v.Decision, v.Reason)
		}
	}
	tricks := []string{
		`"eve@evil.example"`, `"ada@example.org, eve@evil.example"`, `"ada@example.org,eve@evil.example"`, `"ada@example.org;eve@evil.example"`,
		`"ada@example.org eve@evil.example"`, `"ada@example.org\neve@evil.example"`, `"ada@example.org\r\nBcc: eve@evil.example"`,
		`"ada@example.org <eve@evil.example>"`, `"\"ada@example.org\" <eve@evil.example>"`, `"Ada <ada@example.org>"`, `"eve@evil.example (ada@example.org)"`,
		`"eve@evil.example(@example.org"`, `"\"eve@evil.example\"@example.org"`, `"<ada@example.org>"`, `"undisclosed: eve@evil.example;"`,
		`"@evil.example:ada@example.org"`, `"eve%evil.example@example.org"`, `"evil.example!eve@example.org"`, `"ada@example.org@evil.example"`,
		`"eve@evil.example@example.org"`, `"ada@EXAMPLE.ORG"`, `"ada@Example.org"`, `"ada@example.org.evil.example"`, `"ada@example.org."`, `"ada@.example.org"`,
		`"ada@example..org"`, `"ada@exampl\u0435.org"`, `"ada@example\uff0eorg"`, `"ada\uff20example.org"`, `"ada@example\u3002org"`, `"ada@e\u00adxample.org"`,
		`"ada@example.org\u200b"`, `"\u202eada@example.org"`, `"ada@\u212aexample.org"`, `"ada@example.\u1d0frg"`, `"ada@xn--exmple-cua.org"`, `"ada@example.org\u0000"`,
		`" ada@example.org"`, `"ada@example.org "`, `"ada@[192.0.2.1]"`, `"ada@example"`, `"ada"`, `""`, `"@example.org"`, `"ada@"`, `"mailto:ada@example.org"`,
		`"ada@example.org?cc=eve@evil.example"`, `"=?utf-8?q?eve?=@example.org"`, `"ada@example.org%00@evil.example"`, `"a.@example.org"`, `".a@example.org"`,
	}
	for _, trick := range tricks {
		for _, field := range []string{"to", "cc", "bcc"} {
			for _, list := range []string{trick, `"ada@example.org",` + trick, trick + `,"ada@example.org"`} {
				args := `{"` + field + `":[` + list + `]}`
				v := b.Judge(&policy.Call{Args: value(t, args)})
				if v.Decision == policy.Allow {
					t.Errorf("%s went through", args)
				}
				if strings.Contains(v.Reason, "domain(") || strings.Contains(v.Reason, "args") {
					t.Errorf("%s: the reason shows the rule: %s", args, v.Reason)
				}
			}
		}
	}
}

func TestHostTakesPlainURLsAlone(t *testing.T) {
	t.Parallel()
	b := bind(t, sendTool(t), policy.Rule{Tool: "*", When: `host(args.subject) != args.note`, Then: policy.Ask})
	for url, want := range map[string]string{
		"https://example.org": "example.org", "https://example.org/": "example.org", "http://a.b-c.example.org:8080/x?y=@z#://": "a.b-c.example.org",
		"https://192.0.2.7/x": "192.0.2.7", "https://[2001:db8::1]:443/": "2001:db8::1", "https://[2001:db8::1]": "2001:db8::1", "wss://localhost/": "localhost",
		"https://xn--exmple-cua.org/": "xn--exmple-cua.org", "https://example.org?x": "example.org", "https://example.org#x": "example.org",
	} {
		args := value(t, fmt.Sprintf(`{"subject":%q,"note":%q}`, url, want))
		if v := b.Judge(&policy.Call{Args: args, Trace: true}); v.Decision != policy.Allow {
			t.Errorf("host(%s) is not %s: %+v", url, want, v)
		}
	}
	for _, url := range []string{
		"", "example.org", "//example.org", "https:/example.org", "https:example.org", "https://", "https:///example.org", "HTTPS://example.org",
		"https://EXAMPLE.org", "https://example.org@evil.example", "https://u:p@example.org", `https://example.org\@evil.example`, `https:\\example.org`,
		"https://example.org:443@evil.example", "https://example.org:", "https://example.org:0", "https://example.org:99999", "https://example.org:0443", "https://example.org:x",
		"https://example.org.", "https://exam ple.org", " https://example.org", "https://example.org/\n", "https://example.org/\t", "https://example%2eorg",
		"https://example.org%00.evil.example", "https://ex\u00e4mple.org", "https://example\u3002org", "https://0x7f.1", "https://0x7f000001", "https://2130706433",
		"https://127.1", "https://0177.0.0.1", "https://127.0.0.01", "https://[::ffff:127.0.0.1%25eth0]", "https://[::1", "https://[::1]x", "https://[127.0.0.1]", "https://[0:0::1]",
		"https://-example.org", "https://example-.org", "https://exa_mple.org", "https://example.org;x", "https://a..b", "1https://example.org", "://example.org",
	} {
		args, err := canon.From(map[string]string{"subject": url})
		if err != nil {
			t.Fatal(err)
		}
		if v := b.Judge(&policy.Call{Args: args}); v.Decision != policy.Refuse || !strings.Contains(v.Reason, "plain form") {
			t.Errorf("host(%q): %s (%s), want refuse", url, v.Decision, v.Reason)
		}
	}
}

// TestConditions: then is ask everywhere, so that ask is true, allow is false, and refuse is an error.
func TestConditions(t *testing.T) {
	t.Parallel()
	many := `[` + strings.Repeat(`"x",`, 9999) + `"x"]`
	for _, tt := range []struct{ when, args, want string }{
		{`true`, `{}`, "ask"},
		{``, `{}`, "ask"},
		{`false`, `{}`, "allow"},
		{`args.subject == ""`, `{}`, "ask"},
		{`args.subject == "x"`, `{"subject":"x"}`, "ask"},
		{`args.to == []`, `{}`, "ask"},
		{`size(args.to) == 2 && args.to[1] == "b"`, `{"to":["a","b"]}`, "ask"},
		{`args.to[1] == "b"`, `{"to":["a"]}`, "refuse"},
		{`args.bcc.size() == 0`, `{"bcc":null}`, "ask"},
		{`args.bcc.exists(x, x == "a")`, `{"bcc":["a"]}`, "ask"},
		{`args.note == ""`, `{"note":null}`, "ask"},
		{`has(args.note)`, `{"note":null}`, "allow"},
		{`has(args.note)`, `{"note":""}`, "ask"},
		{`has(args.copies)`, `{}`, "allow"},
		{`has(args.copies) && args.copies > 3`, `{"copies":4}`, "ask"},
		{`args.copies > 3`, `{}`, "refuse"},
		{`args.copies > 3`, `{"copies":12345678901234567890}`, "refuse"},
		{`args.copies / 0 == 1`, `{"copies":1}`, "refuse"},
		{`args.copies + 9223372036854775807 > 0`, `{"copies":1}`, "refuse"},
		{`args.price > 100`, `{"price":100.5}`, "ask"},
		{`args.price > 100`, `{"price":100}`, "allow"},
		{`args.price > 100.0`, `{"price":100.00000000000000001}`, "refuse"},
		{`args.price == 0.1`, `{"price":0.1}`, "ask"},
		{`args.price > 1e300`, `{"price":1e301}`, "ask"},
		{`args.urgent`, `{"urgent":true}`, "ask"},
		{`args.urgent`, `{}`, "refuse"},
		{`args.role == "owner"`, `{}`, "ask"},
		{`args.role == "owner"`, `{"role":"reader"}`, "allow"},
		{`has(args.role)`, `{}`, "allow"},
		{`args.free.x.y == 1`, `{"free":{"x":{"y":1}}}`, "ask"},
		{`args.free.x.y == 1`, `{"free":{"x":[]}}`, "refuse"},
		{`args.free == null`, `{"free":null}`, "ask"},
		{`args.free == 1.5`, `{"free":1.5}`, "ask"},
		{`args.free` + ` == "s"`, `{}`, "refuse"},
		{"args.`user-id` == \"7\"", `{"user-id":"7"}`, "ask"},
		{`args.headers["a"] == "b"`, `{"headers":{"a":"b"}}`, "ask"},
		{`args.headers["c"] == "b"`, `{"headers":{"a":"b"}}`, "refuse"},
		{`"a" in args.headers`, `{"headers":{"a":"b"}}`, "ask"},
		{`args.headers.size() == 0`, `{}`, "refuse"},
		{`args.options.lists.exists(l, l.exists(n, n > 2))`, `{"options":{"lists":[[1],[2,3]]}}`, "ask"},
		{`args.options.lists.exists(l, l.exists(n, n > 2))`, `{"options":{}}`, "allow"},
		{`args.options.name == ""`, `{"options":{}}`, "ask"},
		{`args.options.name == ""`, `{}`, "refuse"},
		{`has(args.options.name)`, `{"options":{"name":""}}`, "ask"},
		{`args.files.exists(f, f.name == "x" && "t" in f.tags)`, `{"files":[{},{"name":"x","tags":["t"]}]}`, "ask"},
		{`args.files.all(f, f.tags.size() == 0)`, `{"files":[{},{}]}`, "ask"},
		{`args.tree.leaf == "x"`, `{"tree":{"leaf":"x"}}`, "ask"},
		{`args.tree.sub.leaf == "x"`, `{"tree":{"sub":{"leaf":"x"}}}`, "ask"},
		{`caller.email == "ada@example.org" && caller.person == 7 && caller.agent == "a" && caller.token == 9 && caller.entry == "rest" && caller.administrator`, `{}`, "ask"},
		{`tool.name == "gmail.send" && tool.module == "gmail" && tool.effect != "reads"`, `{}`, "ask"},
		{`session.name == "s" && session.task == "t" && session.hot`, `{}`, "ask"},
		{`args.subject.matches("^[a-z]+$")`, `{"subject":"abc"}`, "ask"},
		{`args.subject.matches(args.note)`, `{"subject":"abc","note":"("}`, "refuse"},
		{`args.to.all(a, args.to.all(b, args.to.all(c, a == b)))`, `{"to":` + many + `}`, "refuse"},
		{`args.to.map(a, args.subject + args.subject).size() > 0`, `{"to":` + many + `,"subject":"` + strings.Repeat("x", 100_000) + `"}`, "refuse"},
		{`domain(args.subject) == "evil.example" || true`, `{"subject":"no address"}`, "ask"},
		{`timestamp(args.subject) > timestamp("2026-01-01T00:00:00Z")`, `{"subject":"x"}`, "refuse"},
		{`dyn(args).copies == 1`, `{}`, "refuse"},
		{`dyn(args).nothing == 1`, `{}`, "refuse"},
	} {
		b := bind(t, sendTool(t), policy.Rule{Tool: "gmail.*", When: tt.when, Then: policy.Ask})
		v := b.Judge(&policy.Call{
			Args: value(t, tt.args), Trace: true, Session: policy.Session{Name: "s", Task: "t", Hot: true},
			Caller: policy.Caller{Person: 7, Email: "ada@example.org", Agent: "a", Token: 9, Entry: "rest", Administrator: true},
		})
		if v.Decision.String() != tt.want {
			t.Errorf("%s with %.60s: %s, want %s: %+v", tt.when, tt.args, v.Decision, tt.want, v.Said)
		}
	}
}

// TestFaults: what is wrong with a rule is said with its place, when it is loaded.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule policy.Rule
		want string
	}{
		{policy.Rule{Tool: "gmail.send", When: `args.to +`}, "when: line 1, column 10: "},
		{policy.Rule{Tool: "gmail.send", When: "true &&\n  )"}, "when: line 2, column 3: "},
		{policy.Rule{Tool: "gmail.send", When: strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60)}, "when: "},
		{policy.Rule{Tool: "gmail.send", When: strings.Repeat("x", 4001)}, "when: has more than 4000 characters"},
		{policy.Rule{Tool: ""}, "tool: "},
		{policy.Rule{Tool: "*.send"}, "tool: "},
		{policy.Rule{Tool: "gmail"}, "tool: "},
		{policy.Rule{Tool: "gmail.se*"}, "tool: "},
		{policy.Rule{Tool: "Gmail.send"}, "tool: "},
		{policy.Rule{Tool: "*", Name: "A B"}, "name: "},
		{policy.Rule{Tool: "*", Then: policy.Ask, Reason: "no"}, "reason: belongs to a rule that refuses"},
		{policy.Rule{Tool: "*", Reason: "two\nlines"}, "reason: "},
		{policy.Rule{Tool: "*", Terms: policy.Terms{Decide: []string{"administrators"}}}, "decide: belongs to a rule that asks"},
		{policy.Rule{Tool: "*", Terms: policy.Terms{FourEyes: true}}, "four_eyes: belongs to a rule that asks"},
		{policy.Rule{Tool: "*", Terms: policy.Terms{Expire: 3600e9}}, "expire: belongs to a rule that asks"},
		{policy.Rule{Tool: "*", Then: policy.Ask, Terms: policy.Terms{Expire: 1}}, "expire: is not between"},
		{policy.Rule{Tool: "*", Then: policy.Ask, Terms: policy.Terms{Decide: []string{"bob"}}}, "decide: "},
	} {
		if tt.rule.Name == "" {
			tt.rule.Name = "x"
		}
		if _, _, fault := policy.Compile(tt.rule); fault == nil || !strings.HasPrefix(fault.Error(), tt.want) {
			t.Errorf("%+v: %v, want %s", tt.rule, fault, tt.want)
		}
	}
	if _, i, fault := policy.Compile(policy.Rule{Name: "a", Tool: "*"}, policy.Rule{Name: "a", Tool: "*"}); i != 1 || fault == nil {
		t.Errorf("two rules of one name: %d, %v", i, fault)
	}
}

// TestMisfits: a condition is checked against the schema of each tool that its rule is about.
func TestMisfits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ when, want string }{
		{`args.tp == []`, "line 1, column 5: undefined field 'tp'"},
		{`true &&` + "\n" + `  args.to == "x"`, "line 2, column 11: "},
		{`args.copies > "3"`, "line 1, column 13: "},
		{`args.to`, "is list(string), and must be true or false"},
		{`args.free`, "is dyn, and must be true or false"},
		{`args.options.nam == ""`, "line 1, column 13: undefined field 'nam'"},
		{`caller.name == ""`, "line 1, column 7: undefined field 'name'"},
		{`nothing(args.to)`, "line 1, column 8: undeclared reference to 'nothing'"},
		{`user.email == ""`, "line 1, column 1: undeclared reference to 'user'"},
		{`domain(args.to) == ""`, "line 1, column 7: "},
		{`args.subject.matches("(")`, "error parsing regexp: "},
	} {
		set, _, fault := policy.Compile(policy.Rule{Name: "r", Tool: "*", When: tt.when})
		if fault != nil {
			t.Errorf("%s: %v", tt.when, fault)
			continue
		}
		b, err := set.Bind(sendTool(t))
		if err != nil {
			t.Fatal(err)
		}
		m := b[0].Misfits()
		if len(m) != 1 || !strings.HasPrefix(m[0].Err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.when, m, tt.want)
		}
		if v := b[0].Judge(&policy.Call{Args: value(t, `{}`)}); v.Decision != policy.Refuse || !strings.Contains(v.Reason, "does not fit") {
			t.Errorf("%s: a rule that does not fit gives %+v", tt.when, v)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	tool := sendTool(t)
	for pattern, want := range map[string]bool{"*": true, "gmail.*": true, "gmail.send": true, "gmail.read": false, "drive.*": false, "gmai.*": false} {
		r := policy.Rule{Tool: pattern}
		if r.Matches(&tool) != want {
			t.Errorf("%s matches %s: %v", pattern, tool.Name, !want)
		}
	}
}

// TestMostRestrictiveWins, the first of several; rules on trial decide nothing and say what they would have done.
func TestMostRestrictiveWins(t *testing.T) {
	t.Parallel()
	rule := func(name string, then policy.Decision, when string) policy.Rule {
		return policy.Rule{Name: name, Tool: "*", Then: then, When: when}
	}
	shadow := func(r policy.Rule) policy.Rule { r.Shadow = true; return r }
	why := rule("why", policy.Refuse, "")
	why.Reason = "not today"
	eyes := rule("eyes", policy.Ask, "")
	eyes.FourEyes, eyes.Decide, eyes.Author = true, []string{"administrators"}, 7
	for _, tt := range []struct {
		rules                          []policy.Rule
		decision, by, reason, on, asks string
	}{
		{nil, "allow", "", "", "", ""},
		{[]policy.Rule{rule("a", policy.Allow, "")}, "allow", "", "", "", ""},
		{[]policy.Rule{rule("a", policy.Ask, ""), rule("b", policy.Ask, "")}, "ask", "a", "", "", "ab"},
		{[]policy.Rule{rule("a", policy.Ask, ""), why, rule("c", policy.Refuse, "")}, "refuse", "why", "not today", "", "a"},
		{[]policy.Rule{rule("a", policy.Ask, "false"), eyes}, "ask", "eyes", "", "", "eyes"},
		{[]policy.Rule{rule("a", policy.Allow, "1/0 == 1"), eyes}, "refuse", "a", "cannot judge", "", "eyes"},
		{
			[]policy.Rule{shadow(why), eyes, shadow(rule("t", policy.Ask, "")), shadow(rule("f", policy.Ask, "1/0 == 1")), shadow(rule("n", policy.Ask, "false"))},
			"ask", "eyes", "", "why refuse, t ask, f refuse (failed)", "eyes",
		},
		{[]policy.Rule{shadow(rule("m", policy.Ask, "args.nothing == 1"))}, "allow", "", "", "m refuse (failed)", ""},
	} {
		set, _, fault := policy.Compile(tt.rules...)
		if fault != nil {
			t.Fatal(fault)
		}
		b, err := set.Bind(sendTool(t))
		if err != nil {
			t.Fatal(err)
		}
		v := b[0].Judge(&policy.Call{Args: value(t, `{}`)})
		asks := ""
		for _, a := range v.Asks {
			asks += a.Rule
			if a.Rule == "eyes" && (!a.FourEyes || a.Author != 7 || !slices.Equal(a.Decide, []string{"administrators"})) {
				t.Errorf("the terms are lost: %+v", a)
			}
		}
		if v.Decision.String() != tt.decision || v.Rule != tt.by || !strings.Contains(v.Reason, tt.reason) || v.Shadow != tt.on || asks != tt.asks {
			t.Errorf("%+v\n gives %+v", tt.rules, v)
		}
	}
}

func FuzzCondition(f *testing.F) {
	for _, when := range []string{external, `args.to.exists(a, host(a) == "x")`, `true ? 1 : `, "args.`a-b`", `"\x00`, `[1,2].map(x, x/0)`} {
		f.Add(when, `{"to":["ada@example.org"],"free":[1,null,{"a":-0.5}]}`)
	}
	tool := sendTool(f)
	f.Fuzz(func(t *testing.T, when, args string) {
		v, err := canon.ParseObject([]byte(args))
		if err != nil {
			return
		}
		set, _, fault := policy.Compile(policy.Rule{Name: "r", Tool: "*", When: when, Then: policy.Ask})
		if fault != nil {
			return
		}
		b, err := set.Bind(tool)
		if err != nil {
			t.Fatal(err)
		}
		first := b[0].Judge(&policy.Call{Args: v})
		if again := b[0].Judge(&policy.Call{Args: v}); again.Decision != first.Decision {
			t.Errorf("%s with %s is %s and then %s", when, args, first.Decision, again.Decision)
		}
		if len(b[0].Misfits()) > 0 && first.Decision != policy.Refuse {
			t.Errorf("%s does not fit and gives %s", when, first.Decision)
		}
	})
}

// FuzzDomain: what is taken for an address is one to the library too, the same one, and nothing else.
func FuzzDomain(f *testing.F) {
	for _, s := range []string{"ada@example.org", "Ada <ada@example.org>", "a@b@c.org", "a@b.c,d@e.f", "a@xn--a.org", "a.b+c@d-e.org"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		found, ok := policy.Domain(s)
		if !ok {
			return
		}
		a, err := mail.ParseAddress(s)
		if err != nil || a.Name != "" || a.Address != s || !strings.HasSuffix(s, "@"+found) || strings.Count(s, "@") != 1 {
			t.Errorf("domain(%q) = %q, and the library reads %v, %v", s, found, a, err)
		}
	})
}

// FuzzHost: what is taken for a URL is one to the library too, with the same host and without a user.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"https://example.org/x?y#z", "http://a@b.org", "https://[::1]:80/", "https://192.0.2.1:8080", "ftp://x.y\\z", "h://a.b:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		found, ok := policy.Host(s)
		if !ok {
			return
		}
		u, err := url.Parse(s)
		if err != nil {
			return // the library refuses an escape in the path, which says nothing of the host
		}
		if u.Hostname() != found || u.User != nil || u.Host == "" {
			t.Errorf("host(%q) = %q, and the library reads %q with user %v", s, found, u.Hostname(), u.User)
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	call := policy.Call{Args: value(b, `{"to":["ada@example.org","bob@example.org"],"subject":"hello","cc":["c@example.org"]}`)}
	for name, rules := range map[string][]policy.Rule{
		"none":     nil,
		"always":   {{Name: "a", Tool: "*", Then: policy.Ask}},
		"subject":  {{Name: "a", Tool: "*", Then: policy.Ask, When: `args.subject == "x"`}},
		"external": {{Name: "a", Tool: "*", Then: policy.Ask, When: external}},
	} {
		b.Run(name, func(b *testing.B) {
			bound := bind(b, sendTool(b), rules...)
			b.ReportAllocs()
			for b.Loop() {
				bound.Judge(&call)
			}
		})
	}
}
