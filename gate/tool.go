package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"reflect"
	"regexp"
	"strings"
	"time"

	"gatehouse/canon"
	"gatehouse/guard"
)

// Effect says what a tool does to the world. The zero value is the careful one.
type Effect uint8

// The effects.
const (
	Destroys Effect = iota // cannot be taken back
	Writes                 // changes or adds something
	Reads                  // changes nothing
)

var effects = [...]string{"destroys", "writes", "reads"}

// String names the effect as the log and the configuration write it.
func (e Effect) String() string {
	if int(e) >= len(effects) {
		return effects[Destroys]
	}
	return effects[e]
}

// ParseEffect finds the effect of a name.
func ParseEffect(name string) (Effect, error) {
	for i, n := range effects {
		if n == name {
			return Effect(i), nil
		}
	}
	return Destroys, fmt.Errorf("effect %q is none of %v", name, effects)
}

// Who says which callers a tool is for at all; rights come on top.
type Who uint8

// Who may call.
const (
	Agents  Who = iota // persons and their tokens, and the operator where the house is kept with it
	Persons            // signed-in persons, and the operator where the house is kept with it; tokens are refused
	Jobs               // background work alone
)

// Money is an amount in millionths of the unit that the operator counts in.
type Money int64

// String writes an amount in the operator's unit: 0.25.
func (m Money) String() string {
	text := new(big.Rat).SetFrac64(int64(m), 1_000_000).FloatString(6)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// Spec is what a tool says of itself. Every zero value is the careful one.
type Spec struct {
	Title, Description string
	Effect             Effect        // Destroys (zero), Writes, Reads
	Trusted            bool          // its results cannot hold other people's words
	Public             bool          // its results are nobody's private data
	Who                Who           // Agents (zero), Persons, Jobs
	Price              Money         // of a call
	Deadline           time.Duration // zero: 60 s
	Input, Output      Schema        // only where the arguments are Raw or the result is Content; else made from the types
	Arguments          []Argument    // only where the arguments are Raw; else read from the struct tags
}

// Argument says what one argument of a tool is. Tags on a struct's fields say the same: `kind:"path"`, `carries:"destination"`.
type Argument struct {
	Pointer string // JSON Pointer; it holds for everything below it too
	Kind    guard.Kind
	Carries Carries
	Root    string // Kind Path: the folder that must contain it, absolute and clean
}

// Carries says whether an argument can take data out.
type Carries uint8

// What an argument carries.
const (
	Contents    Carries = iota // something that is sent or stored
	Destination                // where something goes
	Neither                    // a choice or a number that says nothing to anyone outside
)

const defaultDeadline = time.Minute

// Tool is one thing that a module can do. Only [AccessControlled] makes one, and only [Gate.Call] can run it.
type Tool struct {
	name       string // without the module
	key        Key
	spec       Spec
	input      *schema
	output     *schema
	content    bool // its results are MCP tool results
	definition string
	decode     func(canon.Value) (any, error) // step 2: the arguments as the handler takes them
	run        func(context.Context, Permit, any) (result, error)
}

// result is what a handler gave back.
type result struct {
	value   canon.Value
	logged  canon.Value // what the log keeps instead, for results that are shown once; zero: value itself
	content bool
	failed  bool // Content of a tool that answered with an error of its own
}

// Raw is the argument type of tools that are known only at run time: the canonical arguments as they were checked.
type Raw = canon.Value

// Content is the result type of tools that speak MCP themselves: an object with content and perhaps structuredContent,
// and without _meta, isError and resultType, which entries write.
type Content struct {
	Result canon.Value
	Failed bool // the tool says that it failed: the outcome is upstream, the content is its explanation
}

// Discreet is a result that holds something shown only once. The log keeps what Discreet gives instead.
type Discreet interface {
	Discreet() any
}

var (
	toolNames   = regexp.MustCompile(`^[^\x00-\x20\x7f]{1,200}$`)
	moduleNames = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
)

// AccessControlled makes a tool. It is the only way: without a key it does not compile, with a zero key it panics, and
// what it gives back nobody but the gate can run. A and R are a struct each, with json tags, from which the schemas are
// made; [Raw] and [Content] are for tools that are known only at run time; their schemas come from [ParseSchema], which
// returns an error for what other people wrote. It panics on a mistake of the programmer: no name, no schema, an unknown tag.
func AccessControlled[A, R any](name string, k Key, s Spec, run func(context.Context, Permit, A) (R, error)) Tool {
	t, err := newTool(name, k, s, run)
	if err != nil {
		panic(fmt.Sprintf("gate: tool %q: %v", name, err))
	}
	return t
}

func newTool[A, R any](name string, k Key, s Spec, run func(context.Context, Permit, A) (R, error)) (Tool, error) {
	if k.number() == 0 {
		return Tool{}, fmt.Errorf("it has no permission key")
	}
	if !toolNames.MatchString(name) {
		return Tool{}, fmt.Errorf("its name has signs that a name cannot have, or more than 200")
	}
	if s.Deadline == 0 {
		s.Deadline = defaultDeadline
	}
	t := Tool{name: name, key: k, spec: s, content: reflect.TypeFor[R]() == reflect.TypeFor[Content]()}
	var err error
	if t.input, t.spec.Arguments, err = inputOf[A](s); err != nil {
		return Tool{}, fmt.Errorf("its arguments: %w", err)
	}
	if t.output, err = outputOf[R](s); err != nil {
		return Tool{}, fmt.Errorf("its result: %w", err)
	}
	t.decode = func(args canon.Value) (any, error) {
		var a A
		if raw, ok := any(&a).(*Raw); ok {
			*raw = args
			return a, nil
		}
		err := args.Decode(&a)
		return a, err
	}
	t.run = func(ctx context.Context, p Permit, decoded any) (result, error) {
		p.passage() // past the gate a handler fails here at the latest
		r, err := run(ctx, p, decoded.(A))
		if err != nil {
			return result{}, err
		}
		return resultOf(r)
	}
	t.definition, err = t.hash()
	return t, err
}

func resultOf(r any) (result, error) {
	if c, ok := r.(Content); ok {
		return result{value: c.Result, content: true, failed: c.Failed}, nil
	}
	v, err := canon.From(r)
	if err != nil {
		return result{}, fmt.Errorf("writing the result: %w", err)
	}
	out := result{value: v}
	if d, ok := r.(Discreet); ok {
		if out.logged, err = canon.From(d.Discreet()); err != nil {
			return result{}, fmt.Errorf("writing the result for the log: %w", err)
		}
	}
	return out, nil
}

// hash is over all that an approver or a permission was given for: a tool with another hash is another tool.
func (t *Tool) hash() (string, error) {
	v, err := canon.From(struct {
		Name, Title, Description, Effect string
		Who                              Who
		Input, Output                    string
		Arguments                        []Argument
	}{
		t.name, t.spec.Title, t.spec.Description, t.spec.Effect.String(),
		t.spec.Who, t.input.text(), t.output.text(), t.spec.Arguments,
	})
	if err != nil {
		return "", fmt.Errorf("hashing the definition: %w", err)
	}
	sum := sha256.Sum256(v.Bytes())
	return hex.EncodeToString(sum[:]), nil
}

// CarriesOut reports whether one of the arguments is a destination.
func (t *Tool) carriesOut() bool {
	for _, a := range t.spec.Arguments {
		if a.Carries == Destination {
			return true
		}
	}
	return false
}

// byDefault is what a grant means that does not say allow or ask.
func (t *Tool) byDefault() Decision {
	if t.spec.Effect == Destroys || t.carriesOut() {
		return Ask
	}
	return Allow
}
