package gate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sort"
	"strings"
	"time"

	"gatehouse/canon"
	"gatehouse/guard"
	"gatehouse/outcome"
)

// guardTime is how long one guard may take for one text.
const guardTime = time.Second

// inspection is the guards that look at one argument, worked out when the tool is listed.
type inspection struct {
	Argument
	guards []guard.Guard
}

// inspections finds the guards that have something to say about each argument of a tool, the most exact pointers first,
// and about its results. Arguments of which nothing was said are plain text.
func inspections(t Tool, guards []guard.Guard) (before []inspection, after []guard.Guard) {
	arguments := append([]Argument{{Pointer: ""}}, t.spec.Arguments...)
	for _, a := range arguments {
		i := inspection{Argument: a}
		for _, one := range guards {
			if one.Looks(guard.Before, a.Kind) {
				i.guards = append(i.guards, one)
			}
		}
		before = append(before, i)
	}
	sort.SliceStable(before, func(i, j int) bool { return len(before[i].Pointer) > len(before[j].Pointer) })
	for _, one := range guards {
		if one.Looks(guard.After, guard.Text) {
			after = append(after, one)
		}
	}
	return before, after
}

// at finds the argument that a string of the arguments belongs to.
func (l *listed) at(pointer string) inspection {
	for _, i := range l.before {
		rest, below := strings.CutPrefix(pointer, i.Pointer)
		if below && (rest == "" || rest[0] == '/') {
			return i
		}
	}
	return inspection{}
}

// guard is step 4: every string of the arguments is shown to the guards of its kind, and below an argument that is not
// plain text the names of members too, which a tool might read as values. A guard that fails refuses (P2).
func (g *Gate) guard(ctx context.Context, p *passage) (refusal error) {
	if !on(checkGuards) {
		return nil
	}
	p.args.Strings(func(pointer, text string) bool {
		refusal = p.judge(ctx, p.tool.at(pointer), pointer, text)
		return refusal == nil
	})
	if refusal != nil {
		return refusal
	}
	p.args.Names(func(pointer, name string) bool {
		if in := p.tool.at(pointer[:strings.LastIndexByte(pointer, '/')]); in.Kind != guard.Text {
			refusal = p.judge(ctx, in, pointer, name)
		}
		return refusal == nil
	})
	return refusal
}

// judge shows one text to the guards of its argument.
func (p *passage) judge(ctx context.Context, in inspection, pointer, text string) error {
	for _, one := range in.guards {
		found, err := inspect(ctx, one, guard.Subject{
			Stage: guard.Before, Tool: string(p.tool.name), Pointer: pointer,
			Kind: in.Kind, Text: text, Root: in.Root, Resolve: resolve,
		})
		p.findings = append(p.findings, found...)
		if err != nil {
			p.rule = "guard:" + one.Name()
			return outcome.Blocked.From(err, "the %s guard could not judge %s; nothing was done", one.Name(), pointer)
		}
		for _, f := range found {
			if f.Action == guard.Block || f.Action == guard.Cut {
				p.rule = "guard:" + f.Guard
				return outcome.Blocked.Because("%s: %s", f.Pointer, f.Reason)
			}
		}
	}
	return nil
}

// inspect asks one guard about one text. A panic is an error, and so is an answer that came too late.
func inspect(ctx context.Context, one guard.Guard, s guard.Subject) (found []guard.Finding, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("guard %s panicked: %v\n%s", one.Name(), r, debug.Stack())
		}
	}()
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, guardTime)
	defer cancel()
	found, err = one.Inspect(ctx, s)
	for i := range found {
		found[i].Guard, found[i].Pointer = one.Name(), s.Pointer
	}
	if err != nil {
		return found, fmt.Errorf("guard %s: %w", one.Name(), err)
	}
	if took := time.Since(began); took > guardTime {
		return found, fmt.Errorf("guard %s took %s", one.Name(), took)
	}
	return found, nil
}

// resolve follows the links of a path as far as it exists.
func resolve(path string) (string, error) {
	rest := ""
	for at := filepath.Clean(path); ; {
		real, err := filepath.EvalSymlinks(at)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !os.IsNotExist(err) {
			return "", fmt.Errorf("following links: %w", err)
		}
		// A link whose target is missing does exist: what is made through it would land at the target.
		if info, err := os.Lstat(at); err == nil && info.Mode()&os.ModeSymlink != 0 {
			return "", fmt.Errorf("following links: one leads nowhere")
		}
		parent := filepath.Dir(at)
		if parent == at {
			return "", fmt.Errorf("following links: nothing of the path exists")
		}
		rest = filepath.Join(filepath.Base(at), rest)
		at = parent
	}
}

// guardAfter is step 8: results and errors alike are shown to the guards. What they cut is gone before the log or the
// agent sees it; if one fails, the result is withheld.
func (g *Gate) guardAfter(ctx context.Context, p *passage) (err error) {
	if p.tool == nil || len(p.tool.after) == 0 || p.kept != nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	if p.err != nil {
		e := *outcome.Explain(p.err)
		p.redactFault(ctx, &e)
		return nil
	}
	if p.result.value, err = p.redact(ctx, p.result.value); err != nil || p.result.logged.IsZero() {
		return err
	}
	p.result.logged, err = p.redact(ctx, p.result.logged)
	return err
}

// redact gives a value with every string cut as the guards ask.
func (p *passage) redact(ctx context.Context, v canon.Value) (canon.Value, error) {
	var failed error
	cleaned := v.ReplaceStrings(func(pointer, text string) string {
		if failed != nil {
			return ""
		}
		text, failed = p.clean(ctx, pointer, text)
		return text
	})
	if failed != nil {
		return canon.Value{}, failed
	}
	return cleaned, nil
}

// redactFault cleans the reason of an error; where a guard fails, only the code is left.
func (p *passage) redactFault(ctx context.Context, e *outcome.Error) {
	reason, err := p.clean(ctx, "/reason", e.Reason)
	if err != nil {
		reason = "the reason is withheld, because a guard failed"
	}
	if reason != e.Reason {
		cleaned := outcome.Error{Code: e.Code, Reason: reason, RetryAfter: e.RetryAfter}
		p.err = &cleaned
	}
}

// clean shows one text to all guards of results, one after the other, each what the one before it left.
func (p *passage) clean(ctx context.Context, pointer, text string) (string, error) {
	for _, one := range p.tool.after {
		found, err := inspect(ctx, one, guard.Subject{
			Stage: guard.After, Tool: string(p.tool.name), Pointer: pointer, Text: text, Trusted: p.tool.spec.Trusted,
		})
		p.findings = append(p.findings, found...)
		if err != nil {
			return "", outcome.Blocked.From(err, "it was carried out, but the %s guard could not judge the result, which is withheld", one.Name())
		}
		sort.Slice(found, func(i, j int) bool { return found[i].Start > found[j].Start })
		size, upTo := len(text), len(text)
		for _, f := range found {
			if f.Start < 0 || f.End > size || f.Start > f.End {
				return "", outcome.Blocked.Because("it was carried out, but the %s guard gave an impossible place; the result is withheld", one.Name())
			}
			switch f.Action {
			case guard.Block, guard.Ask:
				return "", outcome.Blocked.Because("it was carried out, but the result is withheld: %s", f.Reason)
			case guard.Cut:
				text = text[:f.Start] + "[redacted:" + f.Kind + "]" + text[max(f.Start, min(f.End, upTo)):]
				upTo = f.Start
			case guard.Mark:
			}
		}
	}
	return text, nil
}

// redactions sums up what was cut or marked, for the agent.
func redactions(found []guard.Finding) []Redaction {
	var sums []Redaction
	for _, f := range found {
		if f.Action != guard.Cut && f.Action != guard.Mark {
			continue
		}
		i := 0
		for i < len(sums) && sums[i].Kind != f.Kind {
			i++
		}
		if i == len(sums) {
			sums = append(sums, Redaction{Kind: f.Kind})
		}
		sums[i].Count++
	}
	return sums
}
