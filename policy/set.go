package policy

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"

	"gatehouse/canon"
)

// Set is rules whose form is good. It is never changed once it was made; the zero Set has no rules.
type Set struct{ rules []Rule }

// Compile takes rules in the order in which they are to be named. The error is of the first that is not good: a [Fault],
// and which it was.
func Compile(rules ...Rule) (*Set, int, *Fault) {
	seen := map[string]bool{}
	for i := range rules {
		r := &rules[i]
		if f := r.check(); f != nil {
			return nil, i, f
		}
		if seen[r.Name] {
			return nil, i, fault("name", "is that of another rule")
		}
		seen[r.Name] = true
		if r.When == "" {
			continue
		}
		if e := parse(r.When); e != nil {
			return nil, i, fault("when", "%s", e)
		}
	}
	return &Set{rules}, 0, nil
}

// Rules gives the rules in their order. They must not be changed.
func (s *Set) Rules() []Rule { return s.rules }

// Misfit is a rule that is about a tool and does not fit its schema.
type Misfit struct {
	Rule    string
	Tool    string
	Err     *ConditionError
	OnTrial bool // the rule is a shadow: nothing is refused because of it
}

// Error names the tool, the place and the problem.
func (m Misfit) Error() string {
	return fmt.Sprintf("does not fit the tool %s: %s", m.Tool, m.Err)
}

// Bound is the rules of a Set that are about one tool, checked against it. A nil Bound has none.
type Bound struct {
	tool  Tool
	rules []bound
}

type bound struct {
	rule   *Rule
	when   *condition // nil: always, or a misfit
	misfit *ConditionError
}

// Definition is that of the tool that the rules were checked against.
func (b *Bound) Definition() string { return b.tool.Definition }

// Rules is how many rules are about the tool.
func (b *Bound) Rules() int {
	if b == nil {
		return 0
	}
	return len(b.rules)
}

// Misfits gives the rules that do not fit the tool.
func (b *Bound) Misfits() (all []Misfit) {
	if b == nil {
		return nil
	}
	for _, r := range b.rules {
		if r.misfit != nil {
			all = append(all, Misfit{r.rule.Name, b.tool.Name, r.misfit, r.rule.Shadow})
		}
	}
	return all
}

// Bind checks the rules against each tool that they are about. A tool that no rule is about gets nil. Conditions are
// compiled once for all tools that have one schema, and once for all where they do not look into the arguments.
func (s *Set) Bind(tools ...Tool) ([]*Bound, error) {
	all := make([]*Bound, len(tools))
	b := binder{envs: map[canon.Value]schemaEnv{}, done: map[use]compiled{}}
	for i := range tools {
		t := &tools[i]
		for n := range s.rules {
			r := &s.rules[n]
			if !r.Matches(t) {
				continue
			}
			if all[i] == nil {
				all[i] = &Bound{tool: *t}
			}
			one := bound{rule: r}
			if r.When != "" {
				c, err := b.compile(n, r.When, t.Input)
				if err != nil {
					return nil, err
				}
				one.when, one.misfit = c.condition, c.misfit
			}
			all[i].rules = append(all[i].rules, one)
		}
	}
	return all, nil
}

// binder remembers what was compiled while a set is bound.
type binder struct {
	envs map[canon.Value]schemaEnv
	done map[use]compiled
}

type schemaEnv struct {
	env    *cel.Env
	shapes *shapes
}

type use struct {
	rule   int
	schema canon.Value // zero: the condition does not look into the arguments
}

type compiled struct {
	condition *condition
	misfit    *ConditionError
}

func (b *binder) compile(rule int, when string, schema canon.Value) (compiled, error) {
	if !strings.Contains(when, "args") {
		schema = canon.Value{}
	}
	if c, ok := b.done[use{rule, schema}]; ok {
		return c, nil
	}
	e, ok := b.envs[schema]
	if !ok {
		var err error
		if e.env, e.shapes, err = typed(schema); err != nil {
			return compiled{}, fmt.Errorf("preparing the conditions on a tool: %w", err)
		}
		b.envs[schema] = e
	}
	var c compiled
	c.condition, c.misfit = compile(e.env, e.shapes, when)
	b.done[use{rule, schema}] = c
	return c, nil
}

// Verdict is what the rules say of a call.
type Verdict struct {
	Decision Decision // Allow where no rule is about the call
	Rule     string   // what made it; empty where no rule did
	Reason   string   // for the caller, where it refuses; never the text of a condition
	Asks     []Terms  // of every rule that holds the call: whoever decides must satisfy all of them
	Shadow   string   // what rules on trial would have done, as "3 refuse, external-mail ask"
	Said     []Said   // of each rule, where the call is traced
}

// Said is what one rule said of a call.
type Said struct {
	Rule    string
	Then    Decision // what it makes of the call; Allow where its condition is false
	Applies bool     // its condition is true
	Shadow  bool
	Problem string // its condition could not be worked out, or does not fit the tool, and why. It may hold an argument
}

// What callers are told. It says what to do, and nothing of a rule's condition.
const (
	reasonRefused = "a rule of this house refuses this call; ask the person behind you"
	reasonPlain   = "a rule cannot judge an address or URL of this call: write each alone and in its plain form, in lower case, as name@example.org or https://example.org/path"
	reasonFailed  = "a rule cannot judge this call, so it is refused; leave out what is unusual in its arguments, or ask the person behind you"
	reasonMisfit  = "a rule does not fit this tool as it is now, so its calls are refused until whoever keeps the rules has corrected it"
)

// Judge works out what the rules say of a call: the most restrictive wins, the first of several. A condition that cannot
// be worked out refuses, whatever its rule would have done.
func (b *Bound) Judge(c *Call) Verdict {
	v := Verdict{Decision: Allow}
	if b == nil {
		return v
	}
	vars := variables{call: c, tool: &b.tool}
	for i := range b.rules {
		r := &b.rules[i]
		said, reason := r.judge(&vars)
		if c.Trace {
			v.Said = append(v.Said, said)
		}
		switch {
		case said.Shadow:
			if said.Applies || said.Problem != "" {
				v.try(said)
			}
			continue
		case said.Then == Ask:
			terms := r.rule.Terms
			terms.Rule = r.rule.Name
			v.Asks = append(v.Asks, terms)
		}
		if said.Then < v.Decision {
			v.Decision, v.Rule, v.Reason = said.Then, said.Rule, reason
		}
	}
	return v
}

// try notes what a rule on trial would have done.
func (v *Verdict) try(s Said) {
	if v.Shadow != "" {
		v.Shadow += ", "
	}
	v.Shadow += s.Rule + " " + s.Then.String()
	if s.Problem != "" {
		v.Shadow += " (failed)"
	}
}

func (r *bound) judge(vars *variables) (s Said, reason string) {
	s = Said{Rule: r.rule.Name, Then: Allow, Shadow: r.rule.Shadow}
	if r.misfit != nil {
		s.Then, s.Problem = Refuse, r.misfit.Error()
		return s, reasonMisfit
	}
	s.Applies = true
	if r.when != nil {
		var err error
		if s.Applies, err = r.when.holds(vars); err != nil {
			s.Then, s.Problem = Refuse, err.Error()
			if errors.Is(err, errPlain) {
				return s, reasonPlain
			}
			return s, reasonFailed
		}
	}
	if !s.Applies {
		return s, ""
	}
	if s.Then = r.rule.Then; s.Then == Refuse {
		return s, cmp.Or(r.rule.Reason, reasonRefused)
	}
	return s, ""
}
