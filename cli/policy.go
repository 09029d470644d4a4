package cli

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// policyCommand keeps the rules on calls.
type policyCommand struct {
	List   policyListCommand   `cmd:"" help:"Show all rules, and which tools they do not fit."`
	Set    policySetCommand    `cmd:"" help:"Make a rule, or replace one that was made."`
	Remove policyRemoveCommand `cmd:"" help:"Remove a rule that was made, from the next call on."`
}

type policyListCommand struct{}

// policyRule is one as policy.list shows it.
type policyRule struct {
	Name    string `json:"name"`
	Rule    int64  `json:"rule"`
	Version int64  `json:"version"`
	Tool    string `json:"tool"`
	When    string `json:"when"`
	Then    string `json:"then"`
	Shadow  bool   `json:"shadow"`
	Tools   int    `json:"tools"`
	Faults  []struct {
		Tool    string `json:"tool"`
		Problem string `json:"problem"`
	} `json:"faults"`
}

func (o *operator) rules() ([]policyRule, string, error) {
	got, raw, err := ask[struct {
		Rules []policyRule `json:"rules"`
	}](o, "policy.list", struct{}{})
	return got.Rules, raw, err
}

// Run implements the command.
func (c *policyListCommand) Run(r *run) error {
	return r.operate(func(o *operator) error {
		rules, raw, err := o.rules()
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		var rows [][]string
		for _, one := range rules {
			version, then := "configuration", one.Then
			if one.Rule != 0 {
				version = strconv.FormatInt(one.Version, 10)
			}
			if one.Shadow {
				then += " (on trial)"
			}
			rows = append(rows, []string{one.Name, version, one.Tool, then, strconv.Itoa(one.Tools), one.When})
		}
		if err := r.table([]string{"RULE", "VERSION", "TOOL", "THEN", "TOOLS", "WHEN"}, rows); err != nil {
			return err
		}
		for _, one := range rules {
			for _, f := range one.Faults {
				r.note("rule %s does not fit the tool %s: %s", one.Name, f.Tool, f.Problem)
			}
		}
		return nil
	})
}

type policySetCommand struct {
	Tool     string   `arg:"" help:"A tool, or MODULE.* for all of its tools, or * for all tools."`
	Then     string   `arg:"" help:"What becomes of the call: ask, refuse or allow."`
	When     string   `placeholder:"CEL" help:"The condition, as 'args.copies > 3' (else always)."`
	Decide   []string `placeholder:"EMAIL,…" help:"Who decides a call that is asked: addresses, or administrators."`
	FourEyes bool     `help:"Another person must decide than who is behind the agent, issued the token or made the rule."`
	Expire   span     `placeholder:"TIME" help:"How long a call that is asked waits, as 4h."`
	Reason   string   `placeholder:"TEXT" help:"What the caller of a refused call is told."`
	Shadow   bool     `help:"Only log what the rule would have done."`
	Rule     int64    `placeholder:"ID" help:"The rule to replace."`
	Version  int64    `placeholder:"N" help:"The version of it that you saw."`
}

// Run implements the command.
func (c *policySetCommand) Run(r *run) error {
	if (c.Rule == 0) != (c.Version == 0) {
		return wrong("--rule and --version belong together: policy list shows both")
	}
	return r.operate(func(o *operator) error {
		made, raw, err := ask[struct {
			Rule    int64 `json:"rule"`
			Version int64 `json:"version"`
		}](o, "policy.set", struct {
			Rule     int64    `json:"rule,omitzero"`
			Version  int64    `json:"version,omitzero"`
			Tool     string   `json:"tool"`
			When     string   `json:"when,omitzero"`
			Then     string   `json:"then"`
			Decide   []string `json:"decide,omitempty"`
			FourEyes bool     `json:"four_eyes,omitzero"`
			Expire   int64    `json:"expire_seconds,omitzero"`
			Reason   string   `json:"reason,omitzero"`
			Shadow   bool     `json:"shadow,omitzero"`
		}{c.Rule, c.Version, c.Tool, c.When, c.Then, c.Decide, c.FourEyes, int64(time.Duration(c.Expire) / time.Second), c.Reason, c.Shadow})
		switch {
		case errors.Is(err, outcome.Conflict):
			return withHint(err, "somebody changed the rule in between: gatehouse policy list shows its version")
		case errors.Is(err, outcome.NotFound):
			return withHint(err, "gatehouse policy list shows the rules")
		case err != nil:
			return err
		case r.flags.JSON:
			return r.sayJSON(raw)
		}
		return r.say("rule %d, version %d", made.Rule, made.Version)
	})
}

type policyRemoveCommand struct {
	ID      int64 `arg:"" help:"The rule's id, as policy list shows it."`
	Version int64 `placeholder:"N" help:"The version that you saw (else the one of now)."`
}

// Run implements the command.
func (c *policyRemoveCommand) Run(r *run) error {
	return r.operate(func(o *operator) error {
		version := c.Version
		if version == 0 {
			rules, _, err := o.rules()
			if err != nil {
				return err
			}
			for _, one := range rules {
				if one.Rule == c.ID {
					version = one.Version
				}
			}
		}
		_, raw, err := ask[struct{}](o, "policy.remove", struct {
			Rule    int64 `json:"rule"`
			Version int64 `json:"version"`
		}{c.ID, version})
		switch {
		case errors.Is(err, outcome.NotFound):
			return withHint(err, "gatehouse policy list shows the rules")
		case err != nil:
			return err
		case r.flags.JSON:
			return r.sayJSON(raw)
		}
		return r.say("rule %d is removed", c.ID)
	})
}

// explainCommand says what would become of a call.
type explainCommand struct {
	Person  string       `required:"" placeholder:"EMAIL" help:"For whom the call would be made."`
	Token   gate.TokenID `placeholder:"ID" help:"The token that would be shown (else none)."`
	Entry   string       `placeholder:"NAME" help:"Through which entry: rest or mcp (else mcp)."`
	Address string       `placeholder:"IP" help:"From where, for a token that is bound to networks."`
	Tool    string       `arg:"" help:"The tool's name."`
	Args    string       `arg:"" optional:"" help:"The arguments as JSON, or @FILE (else {})."`
}

// explanation is what policy.explain gives.
type explanation struct {
	Decision string `json:"decision"`
	Outcome  string `json:"outcome"`
	Rule     string `json:"rule"`
	Reason   string `json:"reason"`
	Steps    []struct {
		Step   string `json:"step"`
		Says   string `json:"says"`
		Rule   string `json:"rule"`
		Reason string `json:"reason"`
		Faults []struct {
			Path    string `json:"path"`
			Problem string `json:"problem"`
		} `json:"faults"`
		Rules []struct {
			Rule    string `json:"rule"`
			Then    string `json:"then"`
			Applies bool   `json:"applies"`
			Shadow  bool   `json:"shadow"`
			Problem string `json:"problem"`
		} `json:"rules"`
	} `json:"steps"`
}

// Run implements the command. That the call would be refused is no failure of the command.
func (c *explainCommand) Run(r *run) error {
	args, err := c.arguments()
	if err != nil {
		return err
	}
	return r.operate(func(o *operator) error {
		p, err := o.person(c.Person)
		if err != nil {
			return err
		}
		e, raw, err := ask[explanation](o, "policy.explain", struct {
			Person    gate.PersonID  `json:"person"`
			Token     gate.TokenID   `json:"token,omitzero"`
			Tool      string         `json:"tool"`
			Arguments jsontext.Value `json:"arguments"`
			Entry     string         `json:"entry,omitzero"`
			Address   string         `json:"address,omitzero"`
		}{p.ID, c.Token, c.Tool, args, c.Entry, c.Address})
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		return o.sayExplanation(e)
	})
}

func (c *explainCommand) arguments() (jsontext.Value, error) {
	text := []byte(c.Args)
	if file, ok := strings.CutPrefix(c.Args, "@"); ok {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return nil, withHint(err, "after @ stands the name of a file with the arguments as JSON")
		}
	}
	if len(text) == 0 {
		text = []byte("{}")
	}
	v := jsontext.Value(text)
	if !v.IsValid() {
		return nil, wrong("the arguments are not JSON")
	}
	return v, nil
}

func (o *operator) sayExplanation(e explanation) error {
	var rows [][]string
	for _, s := range e.Steps {
		rows = append(rows, []string{s.Step, s.Says, s.Rule, s.Reason})
		for _, f := range s.Faults {
			rows = append(rows, []string{"", "", f.Path, f.Problem})
		}
		for _, one := range s.Rules {
			says, why := one.Then, one.Problem
			switch {
			case why == "" && !one.Applies:
				says, why = "-", "its condition is false"
			case why == "":
				why = "its condition is true"
			}
			if one.Shadow {
				why += " (on trial)"
			}
			rows = append(rows, []string{"", says, "policy:" + one.Rule, why})
		}
	}
	if err := o.table([]string{"STEP", "SAYS", "RULE", "WHY"}, rows); err != nil {
		return err
	}
	if e.Outcome != "" {
		return o.say("%s: %s", e.Decision, e.Outcome)
	}
	return o.say("%s", e.Decision)
}
