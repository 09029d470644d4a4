package gate

import (
	"context"

	"github.com/google/jsonschema-go/jsonschema"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// Offer is one tool as a caller who may use it sees it.
type Offer struct {
	Name        ToolName // canonical
	Exported    string   // as model APIs accept it
	Module      string
	Title       string
	Description string
	Input       canon.Value // JSON Schema of the arguments
	Output      canon.Value // JSON Schema of the result, or of structuredContent; zero: none
	Content     bool        // its results are MCP tool results
	Effect      Effect
	Asks        bool   // a human must approve each call
	Definition  string // hash: another one is another tool
}

// Tools lists what a caller may call now, sorted by name. It asks the same question as a call does, so that no list shows
// what a call would refuse, or hides what it would do.
func (g *Gate) Tools(ctx context.Context, c Caller) ([]Offer, error) {
	if g.refresh != nil { // no log compares what a list was made with
		if _, err := g.fresh(ctx); err != nil {
			return nil, outcome.Unavailable.From(err, "your tools cannot be listed now; try again later")
		}
		if o, gone := g.turnedAway(ctx, c); gone {
			return nil, o.Code.Because("%s", o.Reason)
		}
	}
	return g.offers(ctx, c)
}

func (g *Gate) offers(ctx context.Context, c Caller) ([]Offer, error) {
	s, err := g.standing(ctx, c)
	if err != nil {
		return nil, err
	}
	var offers []Offer
	for _, t := range g.catalogue.Load().tools {
		grant, _, ok := s.may(c, t)
		if !ok {
			continue
		}
		o := t.offer
		o.Asks = grant.Decision == Ask
		offers = append(offers, o)
	}
	return offers, nil
}

// Offer gives one tool that the caller may call now, by either of its names. ok is false for all others, known or not.
func (g *Gate) Offer(ctx context.Context, c Caller, name ToolName) (o Offer, ok bool) {
	t := g.catalogue.Load().find(name)
	if t == nil {
		return Offer{}, false
	}
	s, err := g.standing(ctx, c)
	if err != nil {
		return Offer{}, false
	}
	grant, _, ok := s.may(c, t)
	if !ok {
		return Offer{}, false
	}
	o = t.offer
	o.Asks = grant.Decision == Ask
	return o, true
}

// newOffer is worked out once, when the tool is listed.
func newOffer(l *listed) (Offer, error) {
	o := Offer{
		Name: l.name, Exported: l.exported, Module: l.module, Title: l.spec.Title, Description: l.spec.Description,
		Input: l.input.raw, Effect: l.spec.Effect, Content: l.content, Definition: l.definition,
	}
	if l.output == nil {
		return o, nil
	}
	loose := l.output.compiled.Schema().CloneSchemas()
	loosen(loose)
	var err error
	o.Output, err = canon.From(loose)
	return o, err
}

// loosen takes off string leaves what a redaction may change, since clients check results against the schema they saw.
func loosen(js *jsonschema.Schema) {
	if js == nil {
		return
	}
	if js.Type == "string" || js.Type == "" && len(js.Types) == 0 && len(js.Properties) == 0 {
		js.Format, js.Pattern, js.Enum, js.Const, js.MinLength, js.MaxLength = "", "", nil, nil, nil, nil
	}
	for _, list := range [][]*jsonschema.Schema{js.PrefixItems, js.ItemsArray, js.AllOf, js.AnyOf, js.OneOf} {
		for _, sub := range list {
			loosen(sub)
		}
	}
	for _, sub := range []*jsonschema.Schema{
		js.Items, js.AdditionalItems, js.AdditionalProperties, js.Contains, js.If, js.Then, js.Else,
		js.UnevaluatedItems, js.UnevaluatedProperties,
	} {
		loosen(sub)
	}
	for _, subs := range []map[string]*jsonschema.Schema{js.Properties, js.PatternProperties, js.Defs, js.Definitions, js.DependentSchemas} {
		for _, sub := range subs {
			loosen(sub)
		}
	}
}
