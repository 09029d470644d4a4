package upstream

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"gatehouse/canon"
	"gatehouse/gate"
)

const (
	// maxDefinition bounds what one tool may say of itself.
	maxDefinition = 256 << 10
	// maxName is what the gate takes as a name.
	maxName = 200
)

// definition is what a server says of one tool: an object with name, and title, description, inputSchema, outputSchema and
// annotations if they were there, in canonical form. What else was there is not part of it and goes no further.
type definition struct {
	remote string // the name that the server knows
	value  canon.Value
}

// errTask is a tool that runs only as a task, which we do not do for servers.
var errTask = errors.New("it runs only as a task")

// parseDefinition takes one entry of a list of tools.
func parseDefinition(v canon.Value) (definition, error) {
	if !v.IsObject() {
		return definition{}, errors.New("an entry of the list is no object")
	}
	kept := []byte("{")
	var d definition
	for name, member := range v.Members {
		var good bool
		switch name {
		case "name":
			d.remote, good = member.Text()
		case "title", "description":
			_, good = member.Text()
		case "inputSchema", "outputSchema", "annotations":
			good = member.IsObject()
		case "execution":
			if s, _ := member.Member("taskSupport"); s.String() == `"required"` {
				return definition{remote: nameOf(v)}, errTask
			}
			continue
		default:
			continue
		}
		if !good {
			return definition{remote: nameOf(v)}, fmt.Errorf("its %s is of the wrong kind", name)
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = append(canon.AppendString(kept, name), ':')
		kept = member.AppendTo(kept)
	}
	kept = append(kept, '}')
	if d.remote == "" || strings.ContainsRune(d.remote, 0) {
		return d, errors.New("it has no name that can be used")
	}
	if len(kept) > maxDefinition || len(d.remote) > 4*maxName {
		return d, fmt.Errorf("its definition is longer than %d KiB", maxDefinition>>10)
	}
	var err error
	d.value, err = canon.ParseObject(kept)
	return d, err
}

func nameOf(v canon.Value) string {
	name, _ := v.Member("name")
	text, _ := name.Text()
	return text
}

// text gives a text of the definition, if it is there.
func (d definition) text(pointer string) string {
	v, _ := d.value.Lookup(pointer)
	s, _ := v.Text()
	return s
}

// hash names the definition.
func (d definition) hash() string { return d.value.Digest().String() }

// ours are the names under which the gateway itself will offer what a server has besides tools.
var ours = strings.Fields("resources.list resources.read resources.templates resources.subscribe prompts.list prompts.get complete")

var plainNames = regexp.MustCompile(`^[^\x00-\x20\x7f]{1,200}$`)

// name is the tool's name at the gate: the server's own, or, where the gate cannot take it or would use it itself, one
// that ends in six digits of the SHA-256 of the server's.
func (d definition) name() string {
	good := plainNames.MatchString(d.remote) && len(d.remote) <= maxName
	for _, r := range d.remote {
		good = good && unicode.IsPrint(r)
	}
	for _, name := range ours {
		good = good && d.remote != name
	}
	if good {
		return d.remote
	}
	var b strings.Builder
	for _, r := range d.remote {
		if r <= ' ' || !unicode.IsPrint(r) || unicode.IsSpace(r) {
			r = '_'
		}
		if b.Len() > maxName-16 {
			break
		}
		b.WriteRune(r)
	}
	sum := sha256.Sum256([]byte(d.remote))
	return b.String() + "_" + hex.EncodeToString(sum[:3])
}

// spec says what the tool is: in words and schemas what the server says, in everything that decides what the
// configuration says.
func (d definition) spec(said Tool) (gate.Spec, error) {
	s := gate.Spec{
		Title: d.text("/title"), Description: d.text("/description"),
		Effect: said.Effect.Effect, Trusted: said.Trusted, Public: said.Public, Price: gate.Money(said.Price), Deadline: said.Deadline,
	}
	if s.Title == "" {
		s.Title = d.text("/annotations/title")
	}
	var err error
	if s.Arguments, err = said.arguments(); err != nil {
		return s, err
	}
	in, _ := d.value.Member("inputSchema")
	if s.Input, err = gate.ParseSchema(in.Bytes()); err != nil {
		return s, fmt.Errorf("its inputSchema: %w", err)
	}
	if out, ok := d.value.Member("outputSchema"); ok {
		if s.Output, err = gate.ParseSchema(out.Bytes()); err != nil {
			return s, fmt.Errorf("its outputSchema: %w", err)
		}
	}
	return s, nil
}
