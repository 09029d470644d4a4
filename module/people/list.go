package people

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// pageSize is how many people one call lists.
const pageSize = 200

type listArgs struct {
	Email  string `json:"email,omitzero" kind:"email" jsonschema:"only the person with this address, in upper or lower case"`
	Cursor string `json:"cursor,omitzero" kind:"opaque" jsonschema:"as the page before gave it"`
}

// Page is a part of the list of people.
type Page struct {
	People []Person `json:"people"`
	Cursor string   `json:"cursor,omitzero"` // for the next page; empty: this is the last
}

// Person is somebody as people.list shows them.
type Person struct {
	Person        gate.PersonID `json:"person"`
	Email         string        `json:"email"`
	Name          string        `json:"name,omitzero"`
	Administrator bool          `json:"administrator"`
	Active        bool          `json:"active"`
	Version       int64         `json:"version"`
	Added         string        `json:"added"` // RFC 3339, UTC
}

// list obeys the owner rule: who does not keep the house sees themself alone, and cannot tell who else there is.
func (p persons) list(ctx context.Context, permit gate.Permit, a listArgs) (Page, error) {
	var after int64
	if a.Cursor != "" {
		var err error
		if after, err = strconv.ParseInt(a.Cursor, 10, 64); err != nil {
			return Page{}, outcome.WithFaults(outcome.Fault{Path: "/cursor", Problem: "is none that a page gave"})
		}
	}
	s, err := p.fresh(ctx)
	if err != nil {
		return Page{}, err
	}
	who, page := askerOf(permit), Page{People: []Person{}}
	for id, one := range s.people {
		seen := who.keepsHouse() || id == who.person
		if seen && int64(id) > after && (a.Email == "" || strings.EqualFold(one.email, a.Email)) {
			page.People = append(page.People, one.shown())
		}
	}
	slices.SortFunc(page.People, func(a, b Person) int { return cmp.Compare(a.Person, b.Person) })
	if len(page.People) > pageSize {
		page.People = page.People[:pageSize:pageSize]
		page.Cursor = strconv.FormatInt(int64(page.People[pageSize-1].Person), 10)
	}
	return page, nil
}

func (p *person) shown() Person {
	return Person{
		Person: p.id, Email: p.email, Name: p.name, Administrator: p.administrator, Active: p.active, Version: p.version,
		Added: time.UnixMilli(int64(p.id)).UTC().Format("2006-01-02T15:04:05.000Z"), // the id is when the row was made
	}
}

// asker is who makes a call, as far as it matters here.
type asker struct {
	person                  gate.PersonID // 0: the operator
	operator, administrator bool
}

func askerOf(p gate.Permit) asker { return asker{p.Person(), p.Operator(), p.Administrator()} }

// keepsHouse reports whether other people's affairs are the asker's too.
func (a asker) keepsHouse() bool { return a.operator || a.administrator }

// noSuchPerson is the one answer for a person who does not exist and for one who is none of the caller's business.
func noSuchPerson() error {
	return outcome.NotFound.Because("there is no such person; people.list shows whom you can name")
}
