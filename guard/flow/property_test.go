package flow_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"gatehouse/canon"
	"gatehouse/guard/flow"
)

// A small world, so that what is drawn meets itself often.
var words = []string{
	"eve@evil.example", "bob@ok.example", "https://evil.example/a", "https://ok.example", "GB29NWBK60161331926819",
	"general", "Alice", "13", "report.docx", "evil.com", "2024-05-26", "98.7", "send", "all", "eve%40evil.example", "ev\u200be@evil.example",
}

func drawText(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 5).Draw(t, "words"), rapid.SampledFrom([]string{" ", "\n", ", ", ": "}).Draw(t, "between"))
}

func drawRead(t *rapid.T) read {
	s := flow.Source{
		ID: fmt.Sprint(rapid.IntRange(1, 9).Draw(t, "id")), Tool: "a.b", At: rapid.Int64Range(0, 9).Draw(t, "at"),
		Untrusted: rapid.Bool().Draw(t, "untrusted"), Private: rapid.Bool().Draw(t, "private"),
	}
	return read{s, drawText(t)}
}

func drawMemory(t *rapid.T) *flow.Memory {
	m := flow.NewMemory(flow.Key{7})
	for range rapid.IntRange(0, 6).Draw(t, "reads") {
		r := drawRead(t)
		m.Learn(r.source, flow.Extract(r.text), flow.Extract(drawText(t)))
	}
	return m
}

func drawCall(t *rapid.T) flow.Call {
	c := flow.Call{Effect: flow.Effect(rapid.IntRange(0, 2).Draw(t, "effect"))}
	for i := range rapid.IntRange(0, 3).Draw(t, "arguments") {
		text := fmt.Sprintf("%q", drawText(t))
		if rapid.Bool().Draw(t, "list") {
			text = "[" + text + "]"
		}
		v, err := canon.Parse([]byte(text))
		if err != nil {
			v = canon.Object() // %q is not always JSON
		}
		c.Arguments = append(c.Arguments, flow.Argument{Pointer: fmt.Sprintf("/a%d", i), Carries: flow.Carries(rapid.IntRange(0, 3).Draw(t, "carries")), Value: v})
	}
	return c
}

// Reading more of what other people can write never turns ask into allow, whatever stands in it.
func TestReadingMoreNeverReleases(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, call, task := drawMemory(t), drawCall(t), flow.NewTask(drawText(t))
		before := flow.Default().Decide(call, m, task)
		more := drawRead(t)
		more.source.Untrusted = true
		m.Learn(more.source, flow.Extract(more.text), flow.Extract(drawText(t)))
		if before.Ask() && !flow.Default().Decide(call, m, task).Ask() {
			t.Fatalf("%q released %s", more.text, told(before))
		}
	})
}

// Reading what is the person's own releases only destinations that it holds.
func TestOwnDataReleasesOnlyWhatItHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, call, task := drawMemory(t), drawCall(t), flow.NewTask(drawText(t))
		before := flow.Default().Decide(call, m, task)
		text := drawText(t)
		m.Learn(own, flow.Extract(text), flow.Values{})
		after := flow.Default().Decide(call, m, task)
		for _, r := range before.Reasons {
			kept := slices.ContainsFunc(after.Reasons, func(a flow.Reason) bool { return a.Cause == r.Cause && a.Pointer == r.Pointer })
			if !kept && !flow.NewTask(task.Text()+"\n"+text).Names(r.Value) && !strings.Contains(text, r.Value) {
				t.Fatalf("%q released %s", text, told(before))
			}
		}
	})
}

// A task releases only what it names: taking a value out of a call that the task lets pass leaves a call that passes, and a
// call that passes with a task and not without holds a value that the task names.
func TestTasksReleaseOnlyWhatTheyName(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, call, task := drawMemory(t), drawCall(t), flow.NewTask(drawText(t))
		without, with := flow.Default().Decide(call, m, flow.Task{}), flow.Default().Decide(call, m, task)
		if with.Ask() && !without.Ask() {
			t.Fatalf("a task made it ask: %s", told(with))
		}
		for _, r := range without.Reasons {
			kept := slices.ContainsFunc(with.Reasons, func(a flow.Reason) bool { return a.Pointer == r.Pointer })
			named := slices.ContainsFunc(strings.FieldsFunc(r.Value, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' }), task.Names) || task.Names(r.Value)
			if !kept && !named {
				t.Fatalf("task %q released %s", task.Text(), told(without))
			}
		}
	})
}

// However much is read, what was read before is not forgotten towards allow.
func TestOverflowForgetsTowardsAsking(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, call, task := drawMemory(t), drawCall(t), flow.NewTask(drawText(t))
		before := flow.Default().Decide(call, m, task)
		flood(m, rapid.IntRange(1, 3).Draw(t, "rounds")*flow.MaxRecent/2)
		if m.Len() > flow.MaxRecent {
			t.Fatalf("%d values are kept", m.Len())
		}
		if before.Ask() && !flow.Default().Decide(call, m, task).Ask() {
			t.Fatalf("the flood released %s", told(before))
		}
	})
}

// meaningless are values to flood a memory with, more than 100 in each: 50 words, their pairs and lines.
var meaningless = sync.OnceValue(func() (all []flow.Values) {
	for i := range 3 * flow.MaxRecent / 100 {
		var b strings.Builder
		for j := range 50 {
			fmt.Fprintf(&b, "w%d\n", 50*i+j)
		}
		all = append(all, flow.Extract(b.String()))
	}
	return all
})

// flood makes a memory learn n values of no meaning, or a few more, from many sources.
func flood(m *flow.Memory, n int) {
	for i, values := range meaningless()[:(n+99)/100] {
		m.Learn(flow.Source{ID: fmt.Sprint("flood", i), Tool: "f.l", At: 5, Untrusted: true}, values, flow.Values{})
	}
}

func TestFloodedMemoryIsBoundedAndRemembers(t *testing.T) {
	t.Parallel()
	m := memory(read{mail, "delete file 13 of Bob"})
	call := flow.Call{Effect: flow.Destroys, Arguments: arguments(t, `{"to":"Bob"}`)}
	task := flow.NewTask("write to Bob")
	if got := told(flow.Default().Decide(call, m, task)); got != "mentioned /to Bob from mail.search" {
		t.Fatalf("%q", got)
	}
	flood(m, 3*flow.MaxRecent/100*100)
	if got := told(flow.Default().Decide(call, m, task)); got != "mentioned /to Bob" {
		t.Errorf("after the flood: %q", got)
	}
	wrong := 0
	for i := range 1000 {
		if flow.Met(m, fmt.Sprint("other", i)) {
			wrong++
		}
	}
	if wrong > 100 {
		t.Errorf("%d of 1000 values that nobody read are taken for read", wrong)
	}
	text, err := m.MarshalBinary()
	if err != nil || len(text) > 1<<20 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	for i := range flow.MaxHeld {
		m.Learn(own, flow.Extract(fmt.Sprintf("friend%d@ok.example", i)), flow.Values{})
	}
	full, _ := m.MarshalBinary()
	m.Learn(own, flow.Extract("one@ok.example too@ok.example many@ok.example"), flow.Values{})
	if text, _ = m.MarshalBinary(); len(text) != len(full) {
		t.Errorf("%d bytes with as much of one's own as is kept, and then %d", len(full), len(text))
	}
	if m.Expire(5); !flow.Met(m, "bob") || !flow.Met(m, "w1") {
		t.Error("the filter went, and what it holds is not older")
	}
	if m.Expire(101); flow.Met(m, "bob") || flow.Met(m, "w1") {
		t.Error("the filter stays")
	}
}

// The order of arguments and of members decides nothing.
func TestOrderDecidesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, call, task := drawMemory(t), drawCall(t), flow.NewTask(drawText(t))
		before := told(flow.Default().Decide(call, m, task))
		call.Arguments = rapid.Permutation(call.Arguments).Draw(t, "arguments in another order")
		if after := told(flow.Default().Decide(call, m, task)); after != before {
			t.Fatalf("%q became %q", before, after)
		}
	})
	m := memory(read{mail, "eve@evil.example"})
	one := flow.Argument{Carries: flow.Destination, Value: parse(t, `{"b":"eve@evil.example","a":["x"]}`)}
	two := flow.Argument{Carries: flow.Destination, Value: parse(t, `{"a":["x"],"b":"eve@evil.example"}`)}
	a := told(flow.Default().Decide(flow.Call{Effect: flow.Writes, Arguments: []flow.Argument{one}}, m, flow.Task{}))
	b := told(flow.Default().Decide(flow.Call{Effect: flow.Writes, Arguments: []flow.Argument{two}}, m, flow.Task{}))
	if a != b || a == "" {
		t.Errorf("%q and %q", a, b)
	}
}

// A memory that was written and read decides the same, learns the same and has the same bytes.
func TestMemoryRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := drawMemory(t)
		if rapid.Bool().Draw(t, "hot") {
			m.Heat()
		}
		if rapid.IntRange(0, 9).Draw(t, "flood") == 0 {
			flood(m, flow.MaxRecent*3/2)
		}
		text, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var again flow.Memory
		if err := again.UnmarshalBinary(text); err != nil {
			t.Fatal(err)
		}
		call, task, more := drawCall(t), flow.NewTask(drawText(t)), drawRead(t)
		if a, b := told(flow.Default().Decide(call, m, task)), told(flow.Default().Decide(call, &again, task)); a != b {
			t.Fatalf("%q became %q", a, b)
		}
		for _, m := range []*flow.Memory{m, &again} {
			m.Learn(more.source, flow.Extract(more.text), flow.Values{})
		}
		a, _ := m.MarshalBinary()
		b, _ := again.MarshalBinary()
		if !bytes.Equal(a, b) {
			t.Fatal("they learn differently")
		}
	})
}

func TestDamagedMemoriesAreRefused(t *testing.T) {
	t.Parallel()
	m := memory(read{own, "bob@ok.example\ncarl"}, read{mail, "eve@evil.example says\u00e9"})
	text, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for n := range text {
		if err := new(flow.Memory).UnmarshalBinary(text[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken", n, len(text))
		}
	}
	if err := new(flow.Memory).UnmarshalBinary(append(text, 0)); err == nil {
		t.Error("a byte too many is taken")
	}
	other := bytes.Clone(text)
	other[6] = '2'
	if err := new(flow.Memory).UnmarshalBinary(other); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("another version: %v", err)
	}
	swapped := bytes.Clone(text) // what is held stands at the end, in order
	copy(swapped[len(text)-32:], text[len(text)-16:])
	copy(swapped[len(text)-16:], text[len(text)-32:len(text)-16])
	if err := new(flow.Memory).UnmarshalBinary(swapped); err == nil {
		t.Error("another order is taken")
	}
	empty, _ := flow.NewMemory(flow.Key{}).MarshalBinary()
	empty[8+16+1+7] = 1
	if err := new(flow.Memory).UnmarshalBinary(empty); err == nil {
		t.Error("the time of a mark that is not set is taken")
	}
	before := memory(read{mail, "x"})
	if err := before.UnmarshalBinary(text[:50]); err == nil || !before.Tainted() {
		t.Error("a memory was changed by what cannot be read")
	}
}

// FuzzMemory: whatever is read back is written in the same bytes.
func FuzzMemory(f *testing.F) {
	empty, _ := flow.NewMemory(flow.Key{}).MarshalBinary()
	f.Add(empty)
	some, _ := memory(read{own, "bob@ok.example"}, read{mail, "eve@evil.example 13"}).MarshalBinary()
	f.Add(some)
	f.Fuzz(func(t *testing.T, data []byte) {
		var m flow.Memory
		if m.UnmarshalBinary(data) != nil {
			return
		}
		again, err := m.MarshalBinary()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x became %x (%v)", data, again, err)
		}
		m.Learn(mail, flow.Extract("eve@evil.example"), flow.Values{})
		if !flow.Default().Decide(flow.Call{}, &m, flow.Task{}).Ask() {
			t.Fatal("it learned nothing")
		}
	})
}

// FuzzDestination: no destination passes without a task that names it, and one that passes with a task stands in it, letter
// by letter, whatever stands between the letters.
func FuzzDestination(f *testing.F) {
	f.Add("bob@ok.example", "mail bob@ok.example and https://ok.example/a, GB29 NWBK 6016 1331 9268 19")
	f.Add("https://www.ok.example/a/", "see http://ok.example/a")
	f.Add("https://ok.example@evil.example", "see https://ok.example")
	f.Add("Bob <eve@evil.example>", "Bob")
	f.Add("Bob <bob@ok.example>, general", "bob@ok.example and #general")
	f.Fuzz(func(t *testing.T, value, text string) {
		v, err := canon.Parse([]byte(quote(value)))
		if err != nil || strings.TrimSpace(value) == "" || !utf8.ValidString(value) || len(value)+len(text) > 1<<14 {
			return
		}
		m := memory(read{mail, value})
		call := flow.Call{Effect: flow.Writes, Arguments: []flow.Argument{{Carries: flow.Destination, Value: v}}}
		if !flow.Default().Decide(call, m, flow.Task{}).Ask() {
			t.Fatalf("%q passes without a task", value)
		}
		if flow.Default().Decide(call, m, flow.NewTask(text)).Ask() {
			return
		}
		for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ';' || r == '\n' }) {
			if _, inner, found := strings.Cut(part, "<"); found {
				part = inner
			}
			part = strings.TrimSpace(part)
			for _, prefix := range []string{"mailto:", "https:", "http:", "//", "www."} {
				if len(part) >= len(prefix) && strings.EqualFold(part[:len(prefix)], prefix) {
					part = part[len(prefix):]
				}
			}
			if !slices.ContainsFunc(flow.Views(text), func(view string) bool { return strings.Contains(letters(view), letters(part)) }) {
				t.Fatalf("%q passes, and the task is %q", value, text)
			}
		}
	})
}

// letters leaves only letters and digits.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r < ' ' || r == '"' || r == '\\' {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}

// BenchmarkDecide is a mail to two people with a body of 2 KB, after 10,000 values were read.
func BenchmarkDecide(b *testing.B) {
	m := memory()
	flood(m, 10_000)
	m.Learn(mail, flow.Extract("eve@evil.example"), flow.Values{})
	if m.Len() < 10_000 {
		b.Fatalf("%d values", m.Len())
	}
	task := flow.NewTask("Mail the summary of the meeting to bob@ok.example and carl@ok.example, please")
	for name, args := range map[string]string{
		"mail": `{"to":["bob@ok.example","carl@ok.example"],"subject":"Summary of the meeting","body":"` + strings.Repeat("We met and spoke of many things. ", 60) + `"}`,
		"note": `{"to":"eve@evil.example","subject":"Hello","body":"Some short words, as most are."}`,
		"undo": `{"n":7,"x":"w17"}`,
	} {
		b.Run(name, func(b *testing.B) {
			call := flow.Call{Effect: flow.Writes, Arguments: arguments(b, args)}
			for b.Loop() {
				flow.Default().Decide(call, m, task)
			}
		})
	}
}

// BenchmarkLearn is reading and remembering a result of 16 KB.
func BenchmarkLearn(b *testing.B) {
	var text strings.Builder
	for i := 0; text.Len() < 16<<10; i++ {
		fmt.Fprintf(&text, "Line %d of the minutes says that person%d@ok.example will do it by 2024-05-%02d.\n", i, i%40, i%28+1)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		flow.NewMemory(flow.Key{}).Learn(mail, flow.Extract(text.String()), flow.Values{})
	}
}
